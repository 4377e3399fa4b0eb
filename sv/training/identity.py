"""Whether two trainings are the same: fingerprints of their inputs, and differences in words."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sv import checkpoint
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.training.experiment import Experiment
from sv.training.first_encoder import FirstEncoder
from sv.training.kernels import Kernels, can_resume

SAMPLED = 64
"""Number of utterances whose features are part of the fingerprint of a training set."""


def fingerprint(index: TrainingIndex) -> str:
    """Return a hash of a training set: ids, lengths, and the first frames of some utterances."""
    digest = hashlib.sha256(index.names.tobytes() + index.lengths.tobytes())
    some = np.unique(np.linspace(0, len(index) - 1, SAMPLED).astype(np.int64))
    digest.update(index.read_windows(some, np.zeros_like(some), index.rows(10)).tobytes())
    return digest.hexdigest()[:12]


def fingerprint_noises(noises: NoiseBank | None) -> str:
    """Return a hash of a bank of noises; "" if there is none."""
    if noises is None:
        return ""
    kinds = b"".join(kind.encode() + rows.tobytes() for kind, rows in sorted(noises.rows.items()))
    return fingerprint(noises.index) + hashlib.sha256(kinds).hexdigest()[:12]


def fingerprint_rooms(rooms: RoomBank | WaveRooms | None) -> str:
    """Return a hash of a bank of rooms; "" if there is none."""
    if rooms is None:
        return ""
    values = rooms.decays if isinstance(rooms, RoomBank) else rooms.responses
    return hashlib.sha256(values.numpy()).hexdigest()


def identity_of(
    settings: Experiment,
    source: ViewSource,
    rooms: RoomBank | WaveRooms | None,
    dtype: torch.dtype | None,
    base: Path | None,
    kernels: Kernels,
    encoder: FirstEncoder | None = None,
) -> dict[str, Any]:
    """Return, by name, everything that must be unchanged if a training resumes."""
    return {
        "settings": settings.identity(),
        "training set": fingerprint(source.index),
        "noise bank": fingerprint_noises(source.noises),
        "room bank": fingerprint_rooms(rooms),
        "precision": "float32" if dtype is None else "bfloat16",
        "base": "" if base is None else checkpoint.digest(checkpoint.state_path(base)),
        "choice of kernels": kernels.identity,
        "first encoder": "" if encoder is None else encoder.digest,
        "composition of batches": source.batches.fingerprint,
    }


def differences(before: dict, now: dict) -> list[str]:
    """Return the differences between the identities of two trainings, in words."""
    found = changed_settings(before, now, now["settings"])
    # What an older training does not name, it did not have.
    others = [name for name in now if name != "settings" and before.get(name, "") != now[name]]
    kernels = "choice of kernels"  # checkpoints from before there was a choice have no entry
    if kernels in others and can_resume(before.get(kernels, ""), now[kernels]):
        others.remove(kernels)
    return found + [f"the {name} has changed" for name in others]


def changed_settings(before: dict, now: dict, groups: Iterable[str]) -> list[str]:
    """Return the differences in some groups of settings, in words."""
    found = []
    for group in groups:
        old, values = before["settings"].get(group, {}), now["settings"][group]
        for key in sorted({*values, *old}):
            if old.get(key) != values.get(key):
                found.append(f"{group}.{key} was {old.get(key)!r} and is {values.get(key)!r}")
    return found
