"""lhotse manifests of other people's recipes: their cuts become utterances.

The manifests are read as JSON, not by lhotse. So no command or address in them is ever executed or
fetched, and a file of another version of lhotse is told by what it lacks.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sv.data.audio_headers import read_headers
from sv.data.kaldi_dirs import refuse_absent_channels
from sv.data.manifest_files import read_items
from sv.data.manifests import span_of
from sv.data.segment_checks import beyond_recordings
from sv.data.segments import SHOWN, Segment, channel_name
from sv.data.utterance import AudioFile, Utterance
from sv.errors import InputError
from sv.kaldi.paths import base_folder

KINDS = ("MonoCut", "MultiCut")
SAVE = "cuts = cuts.save_audios('audio'); cuts.to_file('cuts.jsonl.gz')"


class Cut(NamedTuple):
    """An utterance as the manifest has it.

    ``start`` and ``duration`` in seconds, from the begin of the recording; ``channel`` of the
    recording, or None for all. ``custom``: further fields of the cut and of its supervision.
    """

    id: str
    recording: dict
    start: float
    duration: float
    channel: int | None
    speaker: str | None = None
    gender: str | None = None
    custom: Mapping[str, Any] = {}


def read_cuts(path: Path, recordings: Path | None = None) -> list[Cut]:
    """Return the utterances of a file of cuts (or of supervisions, with ``recordings``).

    A cut with one supervision is one utterance, with the id of the cut and the span of the
    supervision. A cut with several is as many utterances, with their ids. A cut without any is an
    utterance itself.

    recordings: file of lhotse recordings, for cuts that do not hold theirs.

    Raises:
        InputError: a file is damaged or no such manifest, or has cuts that cannot be taken; the
            message gives their number, and the first ten.
    """
    if path.is_dir():
        raise InputError(
            f"{path}: is a folder, not a file of cuts. If lhotse's shar wrote it, write its audio "
            'out first: python -c "from lhotse import CutSet; from lhotse.utils import fastcopy; '
            f"CutSet.from_shar(in_dir='{path}').map(lambda cut: fastcopy(cut, custom=None))"
            ".save_audios('audio').to_file('cuts.jsonl.gz')\""
        )
    known = {}
    if recordings is not None:
        known = {item["id"]: item for _, item in read_items(recordings)}
    found: list[Cut] = []
    problems: list[str] = []
    count = 0
    for _, item in read_items(path):
        count += 1
        try:
            found += _cuts_of(item, known)
        except (KeyError, TypeError, AttributeError) as error:
            problems.append(
                f"'{item['id']}' lacks {error if isinstance(error, KeyError) else 'a field'} of a "
                "lhotse cut (of another version? open it with the lhotse that wrote it, and write "
                "it with version 1)"
            )
        except ValueError as error:
            problems.append(f"'{item['id']}' {error}")
    if not count:
        raise InputError(f"{path}: has no cuts; check the path")
    if problems:
        shown = "; ".join(problems[:SHOWN])
        raise InputError(f"{path}: {len(problems):,} of {count:,} cuts cannot be taken: {shown}")
    twice = [key for key, uses in Counter(cut.id for cut in found).items() if uses > 1]
    if twice:
        raise InputError(
            f"{path}: {len(twice):,} ids are there more than once: {', '.join(twice[:SHOWN])}; "
            "give each utterance an id of its own"
        )
    return found


def _cuts_of(item: dict, known: Mapping[str, dict]) -> Iterator[Cut]:
    kind = item.get("type")
    if kind is None and "recording_id" in item and "start" in item:  # a supervision
        recording = known.get(item["recording_id"])
        if recording is None:
            raise ValueError("is a supervision, not a cut: give its recordings (--recordings FILE)")
        start, end = item["start"], item["start"] + item["duration"]
        yield _utterance(item["id"], recording, (start, end), item.get("channel"), item, {})
        return
    if kind is None or kind == "Cut":
        raise ValueError(
            "is no cut of today's lhotse (no type, or the type 'Cut' of versions before 0.8): "
            "write the file anew with lhotse 1"
        )
    if kind not in KINDS:
        raise ValueError(f"is a {kind}, made of several cuts: write its audio out first ({SAVE})")
    start, end = item["start"], item["start"] + item["duration"]
    supervisions = item.get("supervisions") or []
    recording = item.get("recording")
    if recording is None:
        named = {one["recording_id"] for one in supervisions}
        recording = known.get(named.pop()) if len(named) == 1 else None
        if recording is None:
            raise ValueError("holds no recording: give the recordings (--recordings FILE)")
    custom = item.get("custom") or {}
    if not supervisions:
        yield _utterance(item["id"], recording, (start, end), item["channel"], {}, custom)
    for one in supervisions:
        # A supervision may reach over the edges of its cut.
        first = max(start, start + one["start"])
        last = min(end, start + one["start"] + one["duration"])
        channel = item["channel"] if kind == "MonoCut" else one.get("channel", item["channel"])
        key = item["id"] if len(supervisions) == 1 else one["id"]
        yield _utterance(key, recording, (first, last), channel, one, custom)


def _utterance(
    key: str,
    recording: dict,
    span: tuple[float, float],
    channel: int | list[int] | None,
    supervision: dict,
    custom: Mapping[str, Any],
) -> Cut:
    if not 0 <= span[0] < span[1]:
        raise ValueError(f"is empty ({span[0]:g} to {span[1]:g} s)")
    if recording.get("transforms"):
        raise ValueError(
            "has a recording that lhotse changes when it reads it (transforms): write its audio "
            f"out first ({SAVE})"
        )
    there = sorted(c for source in recording["sources"] for c in source["channels"])
    wanted = there if channel is None else channel if isinstance(channel, list) else [channel]
    strangers = sorted(set(wanted) - set(there))
    if strangers:
        raise ValueError(f"takes channel {strangers[0]}, and its recording has {there}")
    if len(wanted) > 1 and sorted(wanted) != there:
        raise ValueError(
            f"takes the channels {sorted(wanted)} of {there}: take one of them, or all (their mean)"
        )
    return Cut(
        key,
        recording,
        span[0],
        span[1] - span[0],
        wanted[0] if len(wanted) == 1 and len(there) > 1 else None,
        supervision.get("speaker"),
        supervision.get("gender"),
        {**custom, **(supervision.get("custom") or {})},
    )


def utterances_of(
    cuts: list[Cut], path: Path, session: str | None = None, group: str | None = None
) -> list[Utterance]:
    """Return the utterances of cuts, after a look at each audio file.

    path: the manifest; relative paths of recordings start at the current folder or at a folder
    above the manifest (see ``sv.kaldi.paths``). session, group: custom fields with these labels.

    Raises:
        InputError: audio that is no file, or cannot be used; a channel that is not in it; cuts
            beyond the end of their recordings.
    """
    places = {cut.id: _source(cut, path) for cut in cuts}
    names = {cut.id: _recording_id(cut) for cut in cuts}
    files = {names[cut.id]: AudioFile(places[cut.id][0], names[cut.id]) for cut in cuts}
    base = Path(base_folder(path, [file.relative for file in files.values()]))
    found, bad = read_headers(base, files.values())
    if bad:
        shown = "; ".join(f"{file.relative} {reason}" for file, reason in bad[:SHOWN])
        raise InputError(
            f"{path}: {len(bad):,} of {len(files):,} audio files cannot be used: {shown}"
        )
    whole = {one.id: one for one in found}
    segments = {cut.id: Segment(names[cut.id], cut.start, cut.start + cut.duration) for cut in cuts}
    beyond = beyond_recordings(segments, {key: one.duration for key, one in whole.items()})
    if beyond:
        raise InputError(f"{path}: {beyond}; correct them or take them out")
    utterances = []
    for cut in cuts:
        span = span_of(whole[names[cut.id]], cut.id, segments[cut.id], places[cut.id][1])
        labels = {"session": _label(cut, session), "group": _label(cut, group)}
        utterances.append(replace(span, speaker=_word(cut.speaker), **labels))
    refuse_absent_channels(path, utterances)
    return utterances


def _recording_id(cut: Cut) -> str:
    """Return the id of the recording, or of its channel."""
    name = cut.recording["id"]
    return name if cut.channel is None else f"{name}-{channel_name(cut.channel)}"


def _source(cut: Cut, path: Path) -> tuple[str, int | None]:
    """Return the file of a cut, and the place of its channel in the file (None: all)."""
    sources = cut.recording["sources"]
    if cut.channel is not None:
        sources = [source for source in sources if cut.channel in source["channels"]]
    if len(sources) != 1:
        raise InputError(
            f"{path}: '{cut.id}' is the mean of {len(sources)} files: take one of its channels "
            "(a MonoCut)"
        )
    kind, place = sources[0]["type"], sources[0]["source"]
    if kind != "file" or not isinstance(place, str) or place.rstrip().endswith("|"):
        raise InputError(
            f"{path}: the audio of '{cut.id}' is no file but of the type '{kind}'; data files are "
            f"never executed or fetched here: write the audio out with lhotse first ({SAVE})"
        )
    channels = sources[0]["channels"]
    if cut.channel is None or len(channels) == 1:
        return place, None
    return place, channels.index(cut.channel)


def _label(cut: Cut, name: str | None) -> str | None:
    if name is None:
        return None
    value = cut.custom.get(name)
    if value is None:
        raise InputError(
            f"'{cut.id}' has no custom field '{name}'; it has "
            f"{', '.join(map(str, cut.custom)) or 'none'}"
        )
    return _word(value if isinstance(value, str) else json.dumps(value))


def _word(text: str | None) -> str | None:
    return None if text is None else "_".join(str(text).split())


def genders_of(cuts: list[Cut]) -> dict[str, str]:
    """Return {speaker: gender} of the cuts that tell both."""
    return {_word(c.speaker): _word(c.gender) for c in cuts if c.speaker and c.gender}
