"""Checks of a training that goes on: no schedule may jump, and no epoch may be done already."""

import math
from pathlib import Path

from sv.errors import InputError
from sv.methods.base import Method, Moment
from sv.training.experiment import Experiment
from sv.training.optim import learning_rate


def refuse_jumps(
    base: Path, settings: Experiment, method: Method, epoch: int, planned: int
) -> None:
    """Check that no schedule jumps at ``epoch``, where this training takes over from its base.

    The schedules of this training are computed twice: with the base's planned number of epochs,
    and with its own. So a learning rate that the settings change on purpose is not a jump.

    Parameters
    ----------
    base: path of the base's state, for the message.
    settings, method: of the training that goes on.
    epoch: number of epochs that the base has trained.
    planned: number of epochs for which the base's schedules were planned.

    Raises:
        InputError: the learning rate, or a schedule of the method, would jump.
    """
    epochs = settings.train.epochs
    before, after = (
        {
            "the learning rate": learning_rate(settings.optim, epoch, plan),
            **method.schedules(Moment(epoch, plan)),
        }
        for plan in (planned, epochs)
    )
    jumps = [
        f"{name} would jump from {before[name]:.6g} to {after[name]:.6g}"
        for name in before
        if not math.isclose(before[name], after[name], rel_tol=1e-6, abs_tol=1e-12)
    ]
    if jumps:
        raise InputError(
            f"{base} was planned for {planned} epochs, this training for {epochs}, so "
            f"{' and '.join(jumps)}: train the base with train.epochs={epochs} and "
            f"train.stop={epoch}"
        )


def refuse_early_stop(exp: Path, done: float, until: int) -> None:
    """Raise ``InputError`` if a training has done more epochs than ``until``."""
    if done > until:
        raise InputError(
            f"{exp} has trained for {done:g} epochs, and training should stop after {until}: raise "
            "train.stop, or set it to 0"
        )
