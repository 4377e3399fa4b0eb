"""The plan of a training that goes on from a base: no schedule may jump between the two."""

import math
from pathlib import Path

from sv.errors import InputError
from sv.methods.base import Method, Moment
from sv.training.experiment import Experiment
from sv.training.optim import learning_rate


def refuse_jumps(
    base: Path, settings: Experiment, method: Method, epoch: int, planned: int
) -> None:
    """Raise unless all schedules are at ``epoch`` where the plan of the base has brought them.

    A rate that the settings change on purpose is no jump: the present schedules are compared with
    themselves, for the epochs of either plan.

    Parameters
    ----------
    base: the state of the base, for the message.
    settings, method: of the training that goes on.
    epoch: epochs that the base has trained.
    planned: epochs for which its schedules were planned.

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
            f"{base} was planned for {planned} epochs, this training for {epochs}, so that "
            f"{' and '.join(jumps)}: train the base with train.epochs={epochs} and "
            f"train.stop={epoch}"
        )


def refuse_early_stop(exp: Path, done: float, until: int) -> None:
    """Raise ``InputError`` if a training has done more epochs than it is to do."""
    if done > until:
        raise InputError(
            f"{exp} has trained for {done:g} epochs, and training is to stop after {until}: raise "
            "train.stop, or set it to 0"
        )
