"""Checks of a data directory whose utterances are spans: ``segments`` against its recordings.

This module imports only the standard library, because the validators use it.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from sv.data.segments import (
    SHOWN,
    Segment,
    first_ten,
    parse_segment,
    parse_segments,
    read_channels,
)
from sv.errors import InputError
from sv.kaldi.tables import Table, form_problems, more, read_table
from sv.numbers import MAX_OVERSHOOT, to_float


def span_problems(folder: Path, wav: Table, fix: str) -> tuple[Table, list[str]]:
    """Return the table that lists the utterances, and what is wrong with the spans.

    The table is ``segments``, or ``wav.scp`` without one.
    """
    problems = channel_problems(folder, wav, fix)
    if not (folder / "segments").exists():
        return wav, problems
    try:
        listed = read_table(folder / "segments")
    except InputError as error:
        return wav, [*problems, f"{error}; run stage 0 (data) again, or remove it"]
    problems += [text + fix for text in form_problems(listed)]
    return listed, problems + segment_problems(folder, listed, wav, fix)


def segment_problems(folder: Path, listed: Table, wav: Table, fix: str) -> list[str]:
    """Return what is wrong with the lines of ``segments``, a message for each kind.

    listed, wav: ``segments`` and ``wav.scp``. Lengths of recordings are those of ``reco2dur``.
    """
    segments, malformed = parse_segments(listed)
    problems = [first_ten(malformed) + fix] if malformed else []
    known = set(wav.keys)
    strangers = [i for i, key in enumerate(listed.keys) if _recording(segments, key) not in known]
    strangers = [i for i in strangers if listed.keys[i] in segments]
    if strangers:
        problems.append(
            listed.at(strangers[0]) + f": wav.scp has no such recording{more(strangers)}{fix}"
        )
    used = {segment.recording for segment in segments.values()}
    idle = [i for i, key in enumerate(wav.keys) if key not in used]
    if idle:
        problems.append(wav.at(idle[0]) + f": no segment is of this recording{more(idle)}{fix}")
    if (folder / "reco2dur").exists():
        try:
            lasting = read_recording_seconds(folder / "reco2dur")
        except InputError as error:
            return [*problems, f"{error}; run stage 0 (data) again"]
        beyond = beyond_recordings(segments, lasting)
        if beyond:
            problems.append(f"{listed.path}: {beyond}{fix}")
    return problems


def _recording(segments: Mapping[str, Segment], key: str) -> str | None:
    return segments[key].recording if key in segments else None


def read_recording_seconds(path: Path) -> dict[str, float]:
    """Return {recording: seconds} of ``reco2dur``.

    Raises:
        InputError: a line is not ``<recording> <seconds>``.
    """
    table, found = read_table(path), {}
    for index, (key, value) in enumerate(zip(table.keys, table.values, strict=True)):
        try:
            found[key] = to_float(value)
        except ValueError:
            raise InputError(f"{table.at(index)}: is not '<recording> <seconds>'") from None
    return found


def beyond_recordings(
    segments: Mapping[str, Segment], lasting: Mapping[str, float], overshoot: float = MAX_OVERSHOOT
) -> str | None:
    """Return a message about segments that end after their recordings, or None.

    lasting: seconds of each recording. overshoot: so many seconds more are tolerated (and cut off).
    """
    found = []
    for key, segment in segments.items():
        total = lasting.get(segment.recording)
        if total is None:
            continue
        end = segment.start if math.isinf(segment.end) else segment.end - overshoot
        if end > total or segment.start >= total:
            found.append(f"'{key}' ({segment.start:g} to {segment.end:g} s of {total:g} s)")
    if not found:
        return None
    shown = ", ".join(found[:SHOWN])
    rest = f"the first {SHOWN}: " if len(found) > SHOWN else ""
    return f"{len(found):,} segments lie beyond the end of their recordings: {rest}{shown}"


def overlapping(segments: Mapping[str, Segment]) -> list[tuple[str, str]]:
    """Return pairs of utterances that follow each other in a recording and overlap."""
    of_recording: dict[str, list[tuple[float, float, str]]] = {}
    for key, segment in segments.items():
        row = (segment.start, segment.end, key)
        of_recording.setdefault(segment.recording, []).append(row)
    pairs = []
    for rows in of_recording.values():
        for before, after in itertools.pairwise(sorted(rows)):
            if after[0] < before[1] - 1e-6:
                pairs.append((before[2], after[2]))
    return pairs


def overlap_warning(segments: Mapping[str, Segment]) -> str | None:
    """Return a sentence about segments that overlap, or None. They are kept."""
    pairs = overlapping(segments)
    if not pairs:
        return None
    shown = ", ".join(f"'{before}' and '{after}'" for before, after in pairs[:SHOWN])
    return (
        f"{len(pairs):,} segments overlap with the next one of their recording, and are kept: "
        f"{shown}{', ...' if len(pairs) > SHOWN else ''}"
    )


def channel_problems(folder: Path, wav: Table, fix: str) -> list[str]:
    """Return what is wrong with ``reco2file_and_channel``, if the directory has it."""
    path = folder / "reco2file_and_channel"
    if not path.exists():
        return []
    try:
        channels: Iterable[str] = read_channels(path)
    except InputError as error:
        return [str(error)]
    known = set(wav.keys)
    strangers = [key for key in channels if key not in known]
    if strangers:
        return [f"{path}: has '{strangers[0]}', which wav.scp has not{more(strangers)}{fix}"]
    return []


def drop_bad_segments(
    segments: dict[str, str], recordings: Mapping[str, Mapping[str, str]], done: list[str]
) -> None:
    """Remove lines of ``segments`` that are no spans of a recording; add to ``done`` what went.

    segments: {utterance: rest of the line}. recordings: ``wav.scp`` and, if it is there,
    ``reco2dur``.
    """
    lasting = {key: to_float(text) for key, text in recordings.get("reco2dur", {}).items()}
    reasons: dict[str, list[str]] = {}
    for key, value in segments.items():
        try:
            segment = parse_segment(value)
        except ValueError as error:
            reasons.setdefault(str(error), []).append(key)
            continue
        if segment.recording not in recordings["wav.scp"]:
            reasons.setdefault("not in wav.scp", []).append(key)
        elif beyond_recordings({key: segment}, lasting):
            reasons.setdefault("beyond the end of its recording", []).append(key)
    for reason, keys in reasons.items():
        for key in keys:
            del segments[key]
        shown = ", ".join(keys[:SHOWN])
        done.append(f"segments: dropped {len(keys):,} utterances ({shown}): {reason}")
