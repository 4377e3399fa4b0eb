"""The figures of a development set during training; the weights do not depend on them."""

from collections.abc import Callable
from typing import Any

import torch

from sv import distributed
from sv.methods.base import Method
from sv.training.experiment import Experiment
from sv.training.state import model_contents

Measure = Callable[[dict[str, Any], torch.device], dict[str, float]]
"""From the contents of a saved model and a device to figures for the log."""


class Development:
    """What the trainer asks after every epoch. Without ``measure`` there is nothing to tell.

    Parameters
    ----------
    settings: of the training; ``train.dev_every`` says after which epochs to measure.
    measure: of the development set. It may draw random numbers: they are given back.
    facts: for ``train.json``.
    """

    def __init__(
        self,
        settings: Experiment,
        measure: Measure | None = None,
        facts: dict[str, object] | None = None,
    ):
        self.settings, self.measure, self.facts = settings, measure, facts or {}

    def figures(self, method: Method, epoch: int, device: torch.device) -> dict[str, float]:
        """Return the figures after ``epoch`` epochs: {} if none are due, or in other processes."""
        train = self.settings.train
        due = train.dev_every and (epoch % train.dev_every == 0 or epoch == train.until)
        if self.measure is None or not due or not distributed.is_first():
            return {}
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            return self.measure(model_contents(self.settings, method, epoch), device)
