"""Which utterances make up a batch: pure functions of seed, epoch and step.

Nothing here has a state. So training that resumes in the middle of an epoch gets the same batches
as training without interruption.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from torch import nn

from sv.errors import InputError

ORDER = 0
"""Sets the stream of random numbers apart from that of the crops (``sv.crops.plan``)."""


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


class Batches:
    """The composition of every batch of a training; a base class.

    A subclass has ``steps``, the batches of an epoch, and says of each what is in it. One whose
    batches depend on more than seed, epoch and step overrides the rest as well:
    `sv.sampling.chns.SpeakerBatches` does.
    """

    steps: int

    fingerprint: str = ""
    """A hash of what a training that resumes must find as it was."""

    refresh_every: int = 0
    """Epochs after which the training loop calls ``refresh``; 0: never."""

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return the utterances of a batch, as indices into the training set.

        (batch,): all crops of an item are of one utterance. (count, batch): crop v of an item is of
        the utterance in row v.
        """
        raise NotImplementedError

    def figures(self, epoch: int) -> dict[str, float]:
        """Return figures about the batches of an epoch, for its log."""
        return {}

    def refresh(self, network: nn.Module, epoch: int) -> None:
        """Make the batches of ``epoch`` and later by what the network has learned."""

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming in the middle of an epoch needs beside the fingerprint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned."""


@dataclass(frozen=True)
class RandomBatches(Batches):
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
