"""Measures again the durations of a data directory that contradict its features.

An earlier stage 0 may have written a length that a header guessed. Stage 1 decodes, so its frames
give the true length.
"""

from pathlib import Path

from sv.data.validate import FRAME_OVERHANG, FRAME_SHIFT, positive
from sv.errors import AudioError
from sv.kaldi.paths import base_folder, from_base

Rows = dict[str, str]


def measured_again(folder: Path, tables: dict[str, Rows]) -> dict[str, tuple[int, int]]:
    """Return {utterance: (samples, rate)} of audio that is as long as its features, not utt2dur.

    ``tables``: the rows of ``wav.scp``, ``utt2dur`` and ``utt2num_frames``; nothing is measured if
    one of them, or soundfile, is missing.
    """
    found: dict[str, tuple[int, int]] = {}
    base = base_folder(folder / "wav.scp", list(tables["wav.scp"].values()))
    for key, text in tables.get("utt2num_frames", {}).items():
        frames = positive(text, int)
        seconds = positive(tables.get("utt2dur", {}).get(key, ""), float)
        path = tables["wav.scp"].get(key)
        if frames is None or seconds is None or path is None or agrees(frames, seconds):
            continue
        try:
            from sv.audio.source import measure  # the repair starts on any Python
        except ModuleNotFoundError:  # numpy, soundfile
            return found
        try:
            info = measure(from_base(base, path))
        except AudioError:
            continue
        if agrees(frames, info.samples / info.rate):
            found[key] = (info.samples, info.rate)
    return found


def agrees(frames: int, seconds: float) -> bool:
    """Tell whether so many frames can be of audio of this duration."""
    covered = frames * FRAME_SHIFT + FRAME_OVERHANG
    return abs(covered - seconds) <= max(0.05, 0.02 * seconds)


def with_length(item: dict, samples: int, rate: int) -> dict:
    """Return an entry of a lhotse manifest with another length."""
    changed = dict(item)
    if "duration" in item:
        changed["duration"] = samples / rate
    if "num_samples" in item:
        changed |= {"num_samples": samples, "sampling_rate": rate}
    if isinstance(item.get("recording"), dict):
        changed["recording"] = with_length(item["recording"], samples, rate)
    if isinstance(item.get("supervisions"), list):
        changed["supervisions"] = [with_length(one, samples, rate) for one in item["supervisions"]]
    return changed
