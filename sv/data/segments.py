"""Kaldi's ``segments`` and ``reco2file_and_channel``: utterances that are spans of recordings.

In a directory with ``segments``, the ids of ``wav.scp`` are those of recordings. A line
``<utterance> <recording> <start> <end>`` (seconds) makes a span of a recording an utterance. If the
people of a recording speak on several channels, each channel is a recording of its own: ``wav.scp``
names the same file for ``call-A`` and ``call-B``, and ``reco2file_and_channel`` has the lines
``call-A call A`` and ``call-B call B``.

This module imports only the standard library, because the validators use it.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sv.data.replaced import write_table
from sv.errors import InputError
from sv.kaldi.tables import Table, read_dict, read_table
from sv.numbers import to_float

EXPECTED = "<utterance> <recording> <start> <end>"
TO_THE_END = -1.0
"""Kaldi's end of a segment that lasts as long as its recording."""
SHOWN = 10
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Segment(NamedTuple):
    """A span of a recording; ``start`` and ``end`` in seconds.

    ``end`` is infinite if the segment lasts as long as the recording.
    """

    recording: str
    start: float
    end: float


def parse_segment(value: str) -> Segment:
    """Return the segment that ``<recording> <start> <end>`` describes.

    Raises:
        ValueError: the message says what is wrong, after "is ".
    """
    fields = value.split()
    if len(fields) == 4:  # an old form of Kaldi's: the channel is the last field
        raise ValueError("has a fifth column; put the channel into reco2file_and_channel")
    if len(fields) != 3:
        raise ValueError(f"is not '{EXPECTED}'")
    try:
        start, end = to_float(fields[1]), to_float(fields[2])
    except ValueError:
        raise ValueError("has a start or an end that is no number of seconds") from None
    if end == TO_THE_END:
        end = math.inf
    if start < 0:
        raise ValueError("starts before its recording")
    if not start < end:
        raise ValueError("is empty: its end is not after its start")
    return Segment(fields[0], start, end)


def parse_segments(table: Table) -> tuple[dict[str, Segment], list[str]]:
    """Return the segments of a table, and a message for each line that is none."""
    found, problems = {}, []
    for index, (key, value) in enumerate(zip(table.keys, table.values, strict=True)):
        try:
            found[key] = parse_segment(value)
        except ValueError as error:
            problems.append(f"{table.at(index)}: {error}")
    return found, problems


def read_segments(path: str | os.PathLike) -> dict[str, Segment]:
    """Return {utterance: segment} of a file ``segments``, in its order.

    Raises:
        InputError: the file is missing or empty, an utterance occurs twice, or a line is no
            segment, or an empty one (with the number of such lines, and the first ten).
    """
    read_dict(path, expected=EXPECTED)  # refuses ids that occur twice
    found, problems = parse_segments(read_table(path))
    if problems:
        raise InputError(f"{first_ten(problems)}; correct these lines or take them out")
    return found


def write_segments(path: str | os.PathLike, segments: Iterable[tuple[str, Segment]]) -> None:
    """Write a file ``segments`` of (utterance, segment), in the given order."""
    write_table(
        Path(path),
        (
            (key, f"{one.recording} {seconds(one.start)} {seconds(one.end)}")
            for key, one in segments
        ),
    )


def seconds(value: float) -> str:
    """Return a time as text. Seven decimals tell the samples of any audio apart."""
    if math.isinf(value):
        return "-1"
    return f"{value:.7f}".rstrip("0").rstrip(".")


def first_ten(problems: list[str]) -> str:
    """Return the first ten of several messages as one text; the number of all stands first."""
    if len(problems) == 1:
        return problems[0]
    shown = "; ".join(problems[:SHOWN])
    return f"{len(problems):,} such lines, the first {min(SHOWN, len(problems))}: {shown}"


def read_channels(path: str | os.PathLike) -> dict[str, int]:
    """Return {recording: channel from 0} of ``reco2file_and_channel``; empty without the file.

    ``A`` or ``1`` is the first channel, as in Kaldi.

    Raises:
        InputError: a line is not ``<recording> <file> <channel>``, or a recording occurs twice.
    """
    if not Path(path).exists():
        return {}
    found = {}
    for key, value in read_dict(path, expected="<recording> <file> <channel>").items():
        fields = value.split()
        channel = -1
        if len(fields) == 2 and fields[1] in LETTERS:
            channel = LETTERS.index(fields[1])
        elif len(fields) == 2 and fields[1].isascii() and fields[1].isdigit():
            channel = int(fields[1][:6]) - 1
        if channel < 0:
            raise InputError(
                f"{path}: the line of '{key}' is not '<recording> <file> <channel>', where the "
                "channel is A, B, ... or 1, 2, ...; correct it"
            )
        found[key] = channel
    return found


def write_channels(path: str | os.PathLike, rows: Iterable[tuple[str, str, int]]) -> None:
    """Write ``reco2file_and_channel`` of (recording, file, channel from 0)."""
    write_table(Path(path), ((key, f"{file} {channel_name(c)}") for key, file, c in rows))


def channel_name(channel: int) -> str:
    """Return Kaldi's name of a channel that is counted from 0: A, B, ..., Z, 27, 28, ..."""
    return LETTERS[channel] if channel < len(LETTERS) else str(channel + 1)
