"""RTTM files: who speaks when in a recording (NIST's Rich Transcription Time Marked).

A line has ten fields: type, recording, channel (from 1), start and duration in seconds, text, kind,
speaker, confidence, time of look-ahead. ``<NA>`` stands for what is not known. Lines of the type
``SPEAKER`` are stretches of speech; all other types are ignored.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.ids import id_problem
from sv.numbers import to_float
from sv.text import read_lines


class Turn(NamedTuple):
    """A stretch of one speaker; ``channel`` counts from 0, times are in seconds."""

    recording: str
    channel: int
    start: float
    stop: float
    speaker: str


def read_rttm(path: str | os.PathLike) -> list[Turn]:
    """Return the turns of an RTTM file, sorted.

    Raises:
        InputError: the file is missing, or a line is not as above.
    """
    turns = []
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise InputError(
                f"{path}:{number}: has {len(fields)} fields, a SPEAKER line of RTTM has ten: "
                "SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>"
            )
        try:
            start, duration = to_float(fields[3]), to_float(fields[4])
            channel = int(fields[2]) - 1
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}: give seconds, and a channel") from None
        if start < 0 or duration <= 0 or channel < 0:
            raise InputError(
                f"{path}:{number}: starts at {start} s and lasts {duration} s on channel "
                f"{fields[2]}: times must not be negative, durations above 0, channels from 1"
            )
        turns.append(Turn(fields[1], channel, start, start + duration, fields[7]))
    return sorted(turns)


def write_rttm(path: str | os.PathLike, turns: Iterable[Turn]) -> None:
    """Write turns as RTTM, sorted.

    Raises:
        InputError: a name has blanks.
    """
    with atomic_write(path) as handle:
        for turn in sorted(turns):
            for name in (turn.recording, turn.speaker):
                problem = id_problem(name)
                if problem:
                    raise InputError(f"{path}: the name {name[:60]!r} {problem}")
            handle.write(
                f"SPEAKER {turn.recording} {turn.channel + 1} {turn.start:.3f} "
                f"{turn.stop - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
            )


def alone(turns: Iterable[Turn]) -> list[Turn]:
    """Return the stretches in which one speaker speaks alone on a channel, sorted.

    Turns of the same speaker that overlap or touch are joined; what two speakers share is dropped.
    """
    found: list[Turn] = []
    by_place: dict[tuple[str, int], list[Turn]] = {}
    for turn in turns:
        by_place.setdefault((turn.recording, turn.channel), []).append(turn)
    for (recording, channel), here in by_place.items():
        events = sorted(
            [(turn.start, 1, turn.speaker) for turn in here]
            + [(turn.stop, 0, turn.speaker) for turn in here]
        )
        active: dict[str, int] = {}
        before = 0.0
        for time, begins, speaker in events:
            if len(active) == 1 and time > before:
                only = next(iter(active))
                last = found[-1] if found else None
                touches = last is not None and last[:2] == (recording, channel)
                if touches and last.stop == before and last.speaker == only:
                    found[-1] = last._replace(stop=time)
                else:
                    found.append(Turn(recording, channel, before, time, only))
            count = active.get(speaker, 0) + (1 if begins else -1)
            if count:
                active[speaker] = count
            else:
                active.pop(speaker)
            before = time
    return sorted(found)
