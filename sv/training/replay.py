"""A step of a training, made again: what was drawn for its batch, and what the network received.

Batches are pure functions of (seed, epoch, step), and the trainer itself makes them here.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sv import checkpoint
from sv.crops.banks import load_banks
from sv.crops.plan import BatchPlan
from sv.crops.views import Batch
from sv.crops.wave_index import load_index
from sv.errors import InputError
from sv.training.experiment import Experiment
from sv.training.identity import differences
from sv.training.supervision import supervise
from sv.training.trainer import Trainer

COMPARED = ("settings", "training set", "noise bank", "room bank", "composition of batches")
"""Parts of a training's identity on which its batches depend."""


@dataclass
class Step:
    """One step of a training.

    plan: what was drawn for the whole batch.
    batch: what was read.
    inputs: name of a group → what the network received, (count, batch, frames, mel).
    """

    plan: BatchPlan
    batch: Batch
    inputs: dict[str, Tensor]


def settings_of(exp: Path, overrides: list[str]) -> Experiment:
    """Return the settings of an experiment folder."""
    path = exp / "config.yaml"
    if not path.is_file():
        raise InputError(
            f"{exp}: there is no training here (no config.yaml): give --exp the folder of an "
            "experiment, or --config a file of settings"
        )
    return Experiment.load(path, overrides)


def open_training(
    settings: Experiment,
    data: Path,
    *,
    exp: Path | None,
    banks: Path | None = None,
    labels: Path | None = None,
    clusters: Path | None = None,
) -> Trainer:
    """Return the trainer of these settings and data, which reads and trains nothing yet.

    exp: folder of the experiment, which the settings, data and banks must fit; None: of none.

    Raises
    ------
    InputError: something is missing, or differs from what the experiment was trained on.
    """
    index = load_index(data, settings.data.domain, settings.data.preset)
    noises, rooms = load_banks(banks, settings.data.domain, settings.augment)
    supervised = supervise(settings, index, labels=labels, clusters=clusters)
    known = {} if supervised is None else vars(supervised)
    trainer = Trainer(settings, index, exp or Path(), noises=noises, rooms=rooms, **known)
    if exp is not None:
        _check_same(trainer, exp)
    return trainer


def replay(trainer: Trainer, epoch: int, step: int) -> Step:
    """Make a step of a training again; ``epoch`` and ``step`` count from 1, as in its log.

    Raises
    ------
    InputError: there is no such epoch or step, or its batch was made of what is no longer there.
    """
    for name, number, last in (
        ("--epoch", epoch, trainer.settings.train.until),
        ("--step", step, trainer.steps),
    ):
        if not 1 <= number <= last:
            where = "in an epoch" if name == "--step" else "in this training"
            raise InputError(f"{name} {number}: there are {last} {where}: give 1 to {last}")
    _take_up_clusters(trainer, epoch - 1)
    key = epoch - 1, step - 1
    batch = trainer.source[key]
    inputs = trainer.views(batch, trainer.moment).crops
    return Step(trainer.source.plan(*key), batch, inputs)


def _check_same(trainer: Trainer, exp: Path) -> None:
    """Refuse data that differ; before the first checkpoint nothing tells."""
    path = checkpoint.state_path(exp)
    if not path.is_file():
        return
    now = {name: trainer.state.identity[name] for name in COMPARED}
    changed = differences(checkpoint.load(path)["identity"], now)
    if changed:
        raise InputError(
            f"{exp} was trained otherwise: {'; '.join(changed)}. Give the --data, --banks, "
            "--labels and --clusters of that training, and no other settings"
        )


def _take_up_clusters(trainer: Trainer, epoch: int) -> None:
    """Compose batches as in ``epoch`` (from 0), if clusters of speakers were made again."""
    batches = trainer.source.batches
    every = batches.refresh_every
    if not every or epoch < every:
        return
    path = checkpoint.state_path(trainer.exp)
    state = checkpoint.load(path) if path.is_file() else {"epoch": 0, "step": 0}
    last = state["epoch"] if state["step"] else state["epoch"] - 1  # epoch that was trained last
    if last // every != epoch // every:
        raise InputError(
            f"{path}: the clusters of epoch {epoch + 1}, of which its batches were composed, are "
            f"not there: give an epoch up to {every}, or one after the last new clusters"
        )
    batches.load_state_dict(state["batches"])
