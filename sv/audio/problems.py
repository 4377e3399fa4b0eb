"""Finds bad audio: what is wrong with a file, and when too much of a corpus is bad.

``load`` decodes a file once and returns the samples or what is wrong with it; ``examine`` returns
only the latter. A bad utterance is listed and left out. If more than 1 % of them are bad, something
larger is wrong (a broken copy, a wrong folder), so the stage stops.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sv.audio.files import read_audio
from sv.errors import InputError
from sv.files import atomic_write, shown
from sv.text import read_text

FRAME_SECONDS = 0.025
# -80 dB of full scale, about three steps of 16-bit audio: dither alone, without speech.
SILENCE = 1e-4
# An utterance counts as clipped from this share of samples at full scale on.
CLIPPED = 0.001
# A stage stops if more than this share of the utterances is bad.
MAX_BAD = 0.01


class Bad(NamedTuple):
    """An utterance that cannot be used, and why."""

    id: str
    path: str
    reason: str


def find_problem(samples: np.ndarray, sample_rate: int) -> str | None:
    """Return why decoded audio (samples,) cannot be used, or None."""
    if len(samples) < int(FRAME_SECONDS * sample_rate):
        return f"is shorter than one frame of 25 ms ({len(samples)} samples at {sample_rate} Hz)"
    swing = float(samples.max() - samples.min()) / 2
    if swing == 0.0:
        return "is digital silence (all samples are equal)"
    if swing < SILENCE:
        return f"is silence (at most {20 * np.log10(swing):.0f} dB of full scale)"
    return None


def clipped_share(samples: np.ndarray) -> float:
    """Return the share of (samples,) at full scale. Clipped audio is reported, but kept."""
    if len(samples) == 0:
        return 0.0
    return np.count_nonzero(np.abs(samples) >= 32767 / 32768) / len(samples)


def load(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    channel: int | None = None,
    seconds: tuple[float, float] | None = None,
) -> tuple[np.ndarray | None, str | None]:
    """Decode a file once; return (float32 (samples,), None) or (None, what is wrong).

    What is wrong is a sentence that names the file. A file is bad if it is missing, unreadable, cut
    off, empty, shorter than a frame or silent, or has samples that are no numbers. ``sample_rate``
    in Hz; ``channel``: see ``sv.audio.channel_choice``. ``seconds``: start and end of the span to
    read, else the whole file.
    """
    try:
        samples = read_audio(path, sample_rate, channel, seconds)
    except InputError as error:
        return None, str(error)
    problem = find_problem(samples, sample_rate)
    where = f" from {seconds[0]:.2f} to {seconds[1]:.2f} s" if seconds else ""
    return (None, f"{shown(path)}{where} {problem}") if problem else (samples, None)


def examine(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    channel: int | None = None,
    seconds: tuple[float, float] | None = None,
) -> str | None:
    """Return what is wrong with an audio file, or None if it can be used; see ``load``."""
    return load(path, sample_rate, channel, seconds)[1]


def write_bad(path: str | os.PathLike, bad: Iterable[Bad]) -> None:
    """Write ``bad_utterances``: id, path and reason, separated by tabs, sorted by id."""
    with atomic_write(path) as handle:
        for row in sorted(bad):
            handle.write("\t".join(" ".join(field.split("\t")) for field in row) + "\n")


def read_bad(path: str | os.PathLike) -> list[Bad]:
    """Read what ``write_bad`` wrote.

    Raises:
        InputError: the file is missing, or a line has not three fields.
    """
    lines = read_text(path, " does not exist: run feature extraction again").split("\n")
    rows = [line.rstrip().split("\t") for line in lines if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != 3:
            raise InputError(f"{path}, line {number}: not 'id<tab>path<tab>reason'; remove {path}")
    return [Bad(*row) for row in rows]


def read_exclude(path: str | os.PathLike | None) -> dict[str, str]:
    """Return {id or path: reason} of the utterances to leave out; empty if ``path`` is None.

    A line is an id alone, or id, path and reason as ``write_bad`` writes them, separated by tabs.

    Raises:
        InputError: the file is missing or not UTF-8, or a line has another form.
    """
    if path is None:
        return {}
    found: dict[str, str] = {}
    lines = read_text(path, ": there is no such list: check --exclude").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        fields = line.rstrip().split("\t")
        if not fields[0] or len(fields) == 2 or len(fields[0].split()) != 1:
            raise InputError(
                f"{path}, line {number}: neither an id nor 'id<tab>path<tab>reason'; correct it"
            )
        reason = fields[2] if len(fields) > 2 else f"is listed in {path}"
        found.update(dict.fromkeys(fields[:2], reason))
    return found


def refuse_too_many(bad: list[Bad], total: int, listed_in: str, max_bad: float = MAX_BAD) -> None:
    """Raise if all of ``total`` utterances are bad, or more than the share ``max_bad`` of them.

    Raises:
        InputError: gives the share, the first reason, and the file that lists the others.
    """
    if not bad or (len(bad) <= max_bad * total and len(bad) < total):
        return
    raise InputError(
        f"{len(bad)} of {total} utterances are bad ({len(bad) / total:.1%}; at most {max_bad:.1%} "
        f"are left out silently), the first: {bad[0].reason}. All are listed in {listed_in}: "
        "mend or remove the audio, or allow more with --max-bad"
    )
