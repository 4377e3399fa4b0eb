"""The facts on a finished training, for ``train.json`` and the tables of results."""

import torch

from sv.device import describe_hardware, peak_memory
from sv.training.experiment import Experiment
from sv.training.state import State


def facts_of_training(
    settings: Experiment, state: State, device: torch.device, utterances: int, labels: str
) -> dict[str, object]:
    """Return what a table of results says about a training.

    Parameters
    ----------
    utterances: number of utterances of the training set.
    labels: what the method has learned from: ``none``, ``speakers`` or ``clusters``.
    """
    return {
        "method": settings.method.name,
        "encoder": settings.model.name,
        "epochs": state.epoch,
        "steps_per_epoch": state.batches.steps,
        "seed": settings.train.seed,
        "wall_seconds": round(state.seconds["total"], 1),
        "peak_memory_mib": round(peak_memory(device) / 2**20),
        "hardware": describe_hardware(device),
        "precision": state.identity["precision"],
        "config_hash": settings.digest,
        "git_commit": ", ".join(state.commits),
        "labels_used": labels,
        "train_utterances": utterances,
    }
