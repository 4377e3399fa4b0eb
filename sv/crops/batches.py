"""The utterances of each batch: pure functions of seed, epoch and step.

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
"""Makes this stream of random numbers differ from that of the crops (``sv.crops.plan``)."""


def steps_per_epoch(utterances: int, batch_size: int) -> int:
    """Return the number of full batches in an epoch; a last part of a batch is dropped.

    Raises:
        InputError: there are fewer utterances than ``batch_size``.
    """
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
    """The utterances of every batch of a training; a base class.

    A subclass has ``steps``, the number of batches in an epoch, and returns the utterances of each
    batch. If its batches depend on more than seed, epoch and step, it overrides the other methods,
    too; see `sv.sampling.chns.SpeakerBatches`.
    """

    steps: int

    fingerprint: str = ""
    """A hash of the inputs that must be the same when a training resumes."""

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
        """Choose the batches from ``epoch`` on with the embeddings of ``network``."""

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming in the middle of an epoch needs, besides the fingerprint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned."""


@dataclass(frozen=True)
class RandomBatches(Batches):
    """Every utterance once per epoch, in random order; a last part of a batch is dropped."""

    utterances: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return steps_per_epoch(self.utterances, self.batch_size)

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return the indices (batch_size,) of one batch."""
        return batch_utterances(
            self.utterances, self.batch_size, seed=self.seed, epoch=epoch, step=step
        )
