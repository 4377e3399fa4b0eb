"""The state of a training: saved after each epoch, restored bit by bit, or taken from a base.

There are two kinds of checkpoints (`sv.checkpoint`). `model_contents` returns the contents of a
saved model, `State.contents` the contents that resuming needs.
"""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sv import checkpoint, distributed
from sv.crops.batches import Batches
from sv.errors import InputError, OtherTraining
from sv.methods.base import Method, Stats
from sv.provenance import git_commit
from sv.training.experiment import Experiment
from sv.training.identity import changed_settings, differences
from sv.training.monitor import CollapseWatch, check_weights
from sv.training.plan import refuse_jumps
from sv.training.positives import MEMORIES


def model_contents(settings: Experiment, method: Method, epoch: int) -> dict[str, Any]:
    """Return the contents of a saved model: weights, and the settings that features must fit."""
    return {
        "encoder": method.evaluated.state_dict(),
        "model": dataclasses.asdict(settings.model),
        "normalise": settings.data.normalise,
        "preset": settings.data.preset,
        "epochs": [epoch],
    }


class State:
    """The progress of a training, and everything that changes in it.

    Parameters
    ----------
    exp: the experiment folder, which has the checkpoints.
    settings: of the whole experiment.
    identity: everything that distinguishes this training, by name (`sv.training.identity`).
    method, optimizer, batches: of this training; `restore` changes them in place.
    device: of the method.

    Attributes
    ----------
    epoch, step: number of epochs that are done, and of steps in the present epoch.
    totals: sums of figures over the steps of the present epoch; the log shows their means.
    seconds: of the whole training, of this epoch, and of waiting for data in this epoch.
    watch: the check for collapse.
    commits: of the code that has trained, in order.
    """

    def __init__(
        self,
        exp: Path,
        settings: Experiment,
        identity: dict[str, Any],
        method: Method,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        device: torch.device,
    ):
        self.exp, self.settings, self.identity, self.device = exp, settings, identity, device
        self.method, self.optimizer, self.batches = method, optimizer, batches
        self.epoch = self.step = 0
        self.totals: dict[str, Tensor | float] = {}
        self.seconds = {"total": 0.0, "epoch": 0.0, "wait": 0.0}
        self.watch = CollapseWatch()
        self.commits = [git_commit()]  # now, not at the end: this is the code in memory

    def restore_or_begin(self, base: Path | None) -> None:
        """Restore the checkpoint in ``exp``. If there is none, start, maybe from ``base``.

        A start writes config.yaml and the first model.
        """
        distributed.barrier()  # the first process may still be clearing the folder
        found = self.restore()
        if distributed.from_first(found) != found:
            raise InputError(f"{self.exp} is not the same folder for all processes: share one")
        if found:
            return
        if base is not None:
            self.begin_from(base)
        if distributed.is_first():
            self.settings.save(self.exp / "config.yaml")
        else:  # otherwise all processes would draw the same numbers for different items
            torch.manual_seed(self.settings.train.seed + distributed.rank())
        self.save_model()

    def add(self, figures: Stats) -> None:
        """Add figures of a step to the sums of this epoch."""
        for name, value in figures.items():
            self.totals[name] = self.totals.get(name, 0.0) + value

    def next_epoch(self) -> None:
        """Start the next epoch; its sums of figures and seconds start at 0."""
        self.epoch, self.step, self.totals = self.epoch + 1, 0, {}
        self.seconds["total"] += self.seconds["epoch"]
        self.seconds["epoch"] = self.seconds["wait"] = 0.0

    def save_model(self) -> None:
        """Write the model after the epochs that are done."""
        check_weights(self.method, self.epoch)
        if distributed.is_first():
            contents = model_contents(self.settings, self.method, self.epoch)
            checkpoint.save(checkpoint.epoch_path(self.exp, self.epoch), contents)

    def save_epoch(self) -> None:
        """Write model and state of a complete epoch, then remove models that are too old."""
        self.save_model()
        self.save()
        if distributed.is_first():
            checkpoint.forget_models(self.exp, self.epoch - self.settings.train.keep)

    def save(self) -> None:
        """Write the state from which a restarted training goes on."""
        check_weights(self.method, self.epoch)
        contents = self.contents()
        if distributed.is_first():
            checkpoint.save_state(self.exp, contents)

    def contents(self) -> dict[str, Any]:
        """Return all that resuming needs; every process must call this."""
        totals = distributed.mean_of(self.totals)
        random = distributed.gather(torch.get_rng_state()[None])
        on_gpu = self.device.type == "cuda"
        cuda = distributed.gather(torch.cuda.get_rng_state(self.device)[None]) if on_gpu else None
        if not distributed.is_first():
            return {}
        return {
            "identity": self.identity,
            "commits": self.commits,
            "epoch": self.epoch,
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "totals": totals,
            "seconds": self.seconds,
            "watch": self.watch.state_dict(),
            "random": random,  # a row for each process
            "random_cuda": cuda,
        }

    def restore(self) -> bool:
        """Restore the state that an earlier run saved; return False if there is none.

        Raises
        ------
        OtherTraining: the state is of other settings or data.
        """
        state = checkpoint.load_state(self.exp)
        if state is None:
            return False
        changed = differences(state["identity"], self.identity)
        if changed:
            raise OtherTraining(
                f"{checkpoint.state_path(self.exp)} belongs to another training: "
                f"{'; '.join(changed)}. Choose another --out, or start over with --restart true"
            )
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.watch.load_state_dict(state["watch"])
        self.batches.load_state_dict(state["batches"])
        self._add_commits(state)
        self.epoch, self.step = state["epoch"], state["step"]
        self.totals, self.seconds = state["totals"], state["seconds"]
        row = distributed.rank() % len(state["random"])  # the number of processes may have changed
        torch.set_rng_state(state["random"][row].clone())  # torch 2.11 refuses views
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"][row].clone(), self.device)
        return True

    def begin_from(self, base: Path) -> None:
        """Take weights, optimiser and epoch from the last state of another experiment.

        Raises
        ------
        InputError: the base has another network, data or method, or is not complete, or a schedule
            would jump.
        """
        path = checkpoint.state_path(base)
        state = checkpoint.load(path)
        self._refuse_other_base(path, state)
        self._load_base(path, state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._add_commits(state)
        self.epoch, self.seconds = state["epoch"], state["seconds"]

    def _refuse_other_base(self, path: Path, state: dict[str, Any]) -> None:
        """Raise ``InputError`` if this training cannot go on from ``state``."""
        theirs, train = state["identity"], self.settings.train
        changed = changed_settings(theirs, self.identity, ["model"])
        if theirs["training set"] != self.identity["training set"]:
            changed.append("the training set has changed")
        if changed:
            raise InputError(f"{path} cannot be the base: {'; '.join(changed)}")
        if state["step"] or state["epoch"] >= train.until:
            raise InputError(
                f"{path} has done {state['epoch']} epochs and {state['step']} steps: finish it, "
                f"and set train.epochs, now {train.until}, above the epochs of the base"
            )
        planned = theirs["settings"]["train"]["epochs"]
        refuse_jumps(path, self.settings, self.method, state["epoch"], planned)

    def _load_base(self, path: Path, weights: dict[str, Any]) -> None:
        """Take the weights of a base; the base and this training may differ in having SSPS."""
        ours = self.method.state_dict()
        wrong = [
            name
            for name in {**ours, **weights}
            if _shape(ours, name) != _shape(weights, name)
            and not (name.startswith(MEMORIES) and (name not in ours or name not in weights))
        ]
        if wrong:
            raise InputError(
                f"{path} is of another method or head ({wrong[0]} does not fit): give the settings "
                "of the base"
            )
        self.method.load_state_dict(weights, strict=False)

    def _add_commits(self, state: dict[str, Any]) -> None:
        self.commits = list(dict.fromkeys([*state["commits"], *self.commits]))


def _shape(weights: dict[str, Any], name: str) -> torch.Size | bool:
    """Return the shape of a tensor; for any other entry, whether it exists."""
    value = weights.get(name)
    return value.shape if isinstance(value, Tensor) else name in weights
