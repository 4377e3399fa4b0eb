"""Measures durations of a data directory again if they contradict its features.

An earlier version of stage 0 may have written the wrong length of a header. Stage 1 decodes the
audio, so the number of its frames shows the true length.
"""

from pathlib import Path

from sv.data.validate import FRAME_OVERHANG, FRAME_SHIFT, positive
from sv.errors import AudioError
from sv.kaldi.paths import base_folder, from_base

Rows = dict[str, str]


def measured_again(folder: Path, tables: dict[str, Rows]) -> dict[str, tuple[int, int]]:
    """Return {utterance: (samples, rate in Hz)} of audio whose utt2dur contradicts its features.

    ``tables``: the rows of ``wav.scp``, ``utt2dur`` and ``utt2num_frames``. If one of them, or
    soundfile, is missing, the result is empty. Only audio whose length fits its features is in it.
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
            from sv.audio.source import measure  # here, so that the repair runs on any Python
        except ModuleNotFoundError:  # numpy or soundfile
            return found
        try:
            info = measure(from_base(base, path))
        except AudioError:
            continue
        if agrees(frames, info.samples / info.rate):
            found[key] = (info.samples, info.rate)
    return found


def agrees(frames: int, seconds: float) -> bool:
    """Tell whether audio of ``seconds`` seconds can have ``frames`` frames."""
    covered = frames * FRAME_SHIFT + FRAME_OVERHANG
    return abs(covered - seconds) <= max(0.05, 0.02 * seconds)


def with_length(item: dict, samples: int, rate: int) -> dict:
    """Return a copy of an entry of a lhotse manifest with another length (rate in Hz)."""
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
