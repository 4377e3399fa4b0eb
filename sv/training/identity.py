"""When two trainings are the same: fingerprints of their inputs, and their differences in words."""

import hashlib

import numpy as np

from sv.crops.index import TrainingIndex
from sv.crops.views import NoiseBank
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms

SAMPLED = 64
"""Utterances whose features are looked at to tell two training sets apart."""


def fingerprint(index: TrainingIndex) -> str:
    """Return a hash of a training set: ids, lengths, and the first frames of some utterances."""
    digest = hashlib.sha256(index.names.tobytes() + index.frames.tobytes())
    some = np.unique(np.linspace(0, len(index) - 1, SAMPLED).astype(np.int64))
    digest.update(index.read_windows(some, np.zeros_like(some), index.rows(10)).tobytes())
    return digest.hexdigest()[:12]


def fingerprint_noises(noises: NoiseBank | None) -> str:
    """Return a hash of a bank of noises; "" for none."""
    if noises is None:
        return ""
    kinds = b"".join(kind.encode() + rows.tobytes() for kind, rows in sorted(noises.rows.items()))
    return fingerprint(noises.index) + hashlib.sha256(kinds).hexdigest()[:12]


def fingerprint_rooms(rooms: RoomBank | WaveRooms | None) -> str:
    """Return a hash of a bank of rooms; "" for none."""
    if rooms is None:
        return ""
    values = rooms.decays if isinstance(rooms, RoomBank) else rooms.responses
    return hashlib.sha256(values.numpy()).hexdigest()


def differences(before: dict, now: dict) -> list[str]:
    """Return what differs between the identities of two trainings, in words."""
    found = []
    for group, values in now["settings"].items():
        old = before["settings"].get(group, {})
        for key in sorted({*values, *old}):
            if old.get(key) != values.get(key):
                found.append(f"{group}.{key} was {old.get(key)!r} and is {values.get(key)!r}")
    others = [name for name in now if name != "settings" and before.get(name) != now[name]]
    return found + [f"the {name} has changed" for name in others]
