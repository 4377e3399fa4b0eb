"""The lhotse manifests as JSON lines: compares and filters them without importing lhotse."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from sv.data.segments import Segment, parse_segments
from sv.errors import InputError
from sv.kaldi.tables import Table, more

MANIFESTS = ("recordings.jsonl.gz", "supervisions.jsonl.gz", "cuts.jsonl.gz")
TOLERANCE = 1e-3


def read_items(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (line, parsed object) for each line of a manifest.

    Raises:
        InputError: the file cannot be unpacked, or a line is not a JSON object with an id.
    """
    number = 0
    try:
        opened = open if path.suffix == ".jsonl" else gzip.open
        with opened(path, "rt", encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                item = json.loads(line)
                if not isinstance(item, dict) or not isinstance(item.get("id"), str):
                    raise InputError(f"{path}:{number}: is not an object with an id")
                yield line, item
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{path}: no such file") from error
        raise InputError(f"{path}: is damaged after line {number} ({error})") from error


def manifest_problems(
    folder: Path,
    wav: Table,
    utt2dur: Table | None,
    labels_inside: bool,
    fix: str,
    listed: Table | None = None,
) -> list[str]:
    """Return how the manifests differ from the Kaldi files.

    listed: ``segments`` if there is one: its lines are the utterances, those of ``wav`` the
    recordings.
    """
    listed = listed or wav
    segments = parse_segments(listed)[0] if listed is not wav else {}
    again = "; run stage 0 (data) again"
    if not any((folder / name).exists() for name in MANIFESTS):
        return [
            f"{folder}: has no lhotse manifests ({', '.join(MANIFESTS)}){again}, or give "
            "--no-manifests"
        ]
    paths = wav.as_dict()
    seconds = utt2dur.as_dict() if utt2dur is not None else {}
    problems = []
    for name in MANIFESTS:
        ids: list[str] = []
        odd: list[str] = []
        try:
            for _, item in read_items(folder / name):
                ids.append(item["id"])
                wrong = _item_problem(name, item, paths, seconds, labels_inside)
                wrong = wrong or _segment_problem(name, item, segments)
                if wrong:
                    odd.append(f"{folder / name}:{len(ids)}: {wrong}")
        except InputError as error:
            problems.append(f"{error}{again}")
            continue
        expected = wav if name.startswith("recordings") else listed
        if ids != expected.keys:
            problems.append(_id_difference(folder / name, ids, expected) + fix)
        if odd:
            problems.append(odd[0] + more(odd) + again)
    return problems


def _item_problem(
    name: str, item: dict, paths: dict[str, str], seconds: dict[str, str], labels_inside: bool
) -> str | None:
    key = item["id"]
    if name.startswith("recordings"):
        sources = item.get("sources") or [{}]
        if key in paths and sources[0].get("source") != paths[key]:
            return f"'{key}' is {sources[0].get('source')}, but {paths[key]} in wav.scp"
    elif not labels_inside:
        segments = [item] if name.startswith("supervisions") else item.get("supervisions") or []
        for segment in segments:
            if segment.get("speaker") not in (None, key):
                return f"'{key}' has the speaker '{segment['speaker']}'; labels do not belong here"
    try:
        differs = abs(float(item["duration"]) - float(seconds.get(key, item["duration"])))
    except (KeyError, TypeError, ValueError):
        return f"'{key}' has no duration that can be compared with utt2dur"
    if not differs <= TOLERANCE:  # true for NaN, too
        return f"'{key}' lasts {item['duration']} s, but {seconds[key]} s in utt2dur"
    return None


def _segment_problem(name: str, item: dict, segments: dict[str, Segment]) -> str | None:
    """Return how a supervision or a cut differs from its line in ``segments``."""
    segment = segments.get(item["id"])
    if segment is None or name.startswith("recordings"):
        return None
    recording = item.get("recording_id") or (item.get("recording") or {}).get("id")
    if recording != segment.recording:
        return f"'{item['id']}' is of '{recording}', but of '{segment.recording}' in segments"
    start = item.get("start")
    if not isinstance(start, int | float) or not abs(start - segment.start) <= TOLERANCE:
        return f"'{item['id']}' starts at {start} s, but at {segment.start} s in segments"
    return None


def _id_difference(path: Path, ids: list[str], table: Table) -> str:
    expected, name = table.keys, table.path.name
    here, there = set(ids), set(expected)
    extra = [key for key in ids if key not in there]
    if extra:
        return f"{path}: has '{extra[0]}', which {name} has not{more(extra)}"
    absent = [key for key in expected if key not in here]
    if absent:
        return f"{path}: lacks '{absent[0]}' of {name}{more(absent)}"
    if len(ids) != len(here):
        return f"{path}: has {len(ids) - len(here):,} entries twice"
    return f"{path}: is not in the order of {name}"
