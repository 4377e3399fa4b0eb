"""Which utterances make up a batch: pure functions of seed, epoch and step.

Nothing here has a state. So training that resumes in the middle of an epoch gets the same batches
as training without interruption.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from sv.errors import InputError

ORDER = 0
"""Sets the stream of random numbers apart from that of the crops (``sv.crops.views``)."""


def steps_per_epoch(utterances: int, batch_size: int) -> int:
    """Return the number of full batches in an epoch; the rest of the epoch is dropped."""
    if batch_size > utterances:
        raise InputError(
            f"train.batch_size is {batch_size} but the training set has {utterances} utterances: "
            "lower it (--set train.batch_size=…) or add data"
        )
    return utterances // batch_size


@lru_cache(maxsize=2)
def epoch_order(utterances: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order (utterances,) in which an epoch visits the utterances."""
    order = np.random.default_rng([seed, epoch, ORDER]).permutation(utterances)
    order.flags.writeable = False
    return order


def batch_utterances(
    utterances: int, batch_size: int, *, seed: int, epoch: int, step: int
) -> np.ndarray:
    """Return the indices (batch_size,) of the utterances of one batch, all different."""
    order = epoch_order(utterances, seed, epoch)
    return order[step * batch_size : (step + 1) * batch_size]


class Batches(Protocol):
    """The composition of every batch of a training.

    ``batches(epoch, step)`` returns indices of utterances: (batch,), all crops of an item from one
    utterance, or (count, batch), crop v of an item from the utterance in row v.

    Where it has them, the training loop uses ``fingerprint`` (what a resume must not change),
    ``figures(epoch)`` for its log, and ``refresh_every``, ``refresh(network, epoch)``,
    ``state_dict`` and ``load_state_dict``: see ``sv.sampling.chns.SpeakerBatches``.
    """

    steps: int

    def __call__(self, epoch: int, step: int) -> np.ndarray: ...  # noqa: D102


@dataclass(frozen=True)
class RandomBatches:
    """Every utterance once an epoch, in random order; the rest that fills no batch is dropped."""

    utterances: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.utterances, self.batch_size)

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return the indices (batch_size,) of one batch."""
        return batch_utterances(
            self.utterances, self.batch_size, seed=self.seed, epoch=epoch, step=step
        )
