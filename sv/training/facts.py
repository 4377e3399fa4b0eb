"""The facts on a finished training, for ``train.json`` and the tables of results."""

from sv.crops.views import ViewSource
from sv.device import describe_hardware, peak_memory
from sv.training.state import State


def facts_of_training(state: State, source: ViewSource, labels: str) -> dict[str, object]:
    """Return what a table of results says about a training.

    Parameters
    ----------
    source: of the crops; it has the training set.
    labels: what the method has learned from: ``none``, ``speakers`` or ``clusters``.
    """
    settings, device = state.settings, state.device
    crops = sum(group.count for group in source.groups)
    heard = sum(group.count * group.seconds for group in source.groups)
    return {
        "method": settings.method.name,
        "encoder": settings.model.name,
        "epochs": state.epoch,
        "steps_per_epoch": state.batches.steps,
        "crops_per_step": crops * settings.train.batch_size,
        "mean_crop_seconds": round(heard / max(1, crops), 4),
        "seed": settings.train.seed,
        "wall_seconds": round(state.seconds["total"], 1),
        "peak_memory_mib": round(peak_memory(device) / 2**20),
        "hardware": describe_hardware(device),
        "precision": state.identity["precision"],
        "config_hash": settings.digest,
        "git_commit": ", ".join(state.commits),
        "labels_used": labels,
        "train_utterances": len(source.index),
    }
