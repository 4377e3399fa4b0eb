"""Converts data directories from and to Kaldi, whose ``utt2spk`` names true speakers."""

import logging
import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from sv.data.audio_headers import read_headers
from sv.data.labels import read_label_file, refuse_gaps
from sv.data.manifests import span_of
from sv.data.replaced import replaced_directory, write_table
from sv.data.segment_checks import beyond_recordings, overlap_warning
from sv.data.segments import SHOWN, SPANS, Segment, read_channels, read_segments
from sv.data.utterance import AudioFile, Utterance
from sv.errors import InputError
from sv.kaldi.paths import base_folder
from sv.kaldi.tables import Table, more, read_dict, read_table

log = logging.getLogger(__name__)


def from_kaldi_dir(kaldi_dir: str | os.PathLike) -> list[Utterance]:
    """Return the utterances of a Kaldi data directory, with speakers if ``utt2spk`` exists.

    If there is a file ``segments``, its lines are the utterances. ``reco2file_and_channel`` gives
    the channels of recordings. Relative paths in ``wav.scp`` start at the current folder, as in
    Kaldi, or at a folder above ``wav.scp`` (see ``sv.kaldi.paths``). An ``utt2spk`` that maps each
    utterance to itself names no speakers.

    Raises:
        InputError: ``wav.scp`` is missing or has commands (``... |``), an id comes twice,
            ``utt2spk`` lacks an utterance, a file cannot be used, a recording lacks its channel,
            or segments are empty, of an unknown recording or beyond the end of theirs.
    """
    folder = Path(kaldi_dir)
    wav = read_table(folder / "wav.scp")
    _refuse_commands(wav)
    paths = read_dict(wav.path)
    segments = None
    if (folder / "segments").exists():
        segments = read_segments(folder / "segments")
        _refuse_strangers(folder / "segments", segments, paths)
    # Lists are checked before the headers are read, because headers can take an hour.
    speakers = _speakers(folder / "utt2spk", paths if segments is None else segments)
    recordings = _recordings(wav, paths)
    utterances = list(recordings.values())
    if segments is not None:
        utterances = _spans(folder / "segments", segments, recordings)
    return [replace(one, speaker=speakers.get(one.id)) for one in utterances]


def _speakers(path: Path, ids: Collection[str]) -> dict[str, str]:
    """Return {utterance: speaker}; empty without the file, and if it names no speakers."""
    if not path.exists():
        return {}
    speakers = read_label_file(path)
    refuse_gaps(path, speakers, ids, str(path.with_name("wav.scp")))
    return {} if all(speakers[key] == key for key in ids) else speakers


def _recordings(wav: Table, paths: Mapping[str, str]) -> dict[str, Utterance]:
    """Return {recording: whole file, with its channel} of ``wav.scp``."""
    files = [AudioFile(path, key) for key, path in paths.items()]
    found, bad = read_headers(Path(base_folder(wav.path, wav.values)), files)
    if bad:
        file, reason = bad[0]
        raise InputError(
            f"{wav.path}: {len(bad):,} of {len(files):,} files cannot be used, the first: "
            f"{file.relative} {reason}; repair them or take their lines out"
        )
    listed = wav.path.with_name("reco2file_and_channel")
    channels, uses = read_channels(listed), Counter(paths.values())
    # A file with one channel may hold that channel alone: Kaldi's own lists have such.
    single = {one.id for one in found if one.channels == 1 and uses[paths[one.id]] == 1}
    channels = {key: None if key in single else channel for key, channel in channels.items()}
    found = [replace(one, channel=channels.get(one.id)) for one in found]
    refuse_absent_channels(listed, found)
    return {one.id: one for one in found}


def refuse_absent_channels(path: str | os.PathLike, utterances: Iterable[Utterance]) -> None:
    """Raise if a channel of an utterance is not in its file. ``path``: what names the channels."""
    absent = [
        f"'{one.recording_id}' (channel {one.channel}, counted from 0, of {one.channels})"
        for one in utterances
        if one.channel is not None and one.channel >= one.channels
    ]
    if absent:
        shown = ", ".join(absent[:SHOWN])
        raise InputError(
            f"{path}: {len(absent):,} channels are not in their files: {shown}; correct the "
            "channels, or the paths of the files"
        )


def _refuse_commands(wav: Table) -> None:
    pipes = []
    for index, value in enumerate(wav.values):
        if not value:
            raise InputError(f"{wav.at(index)}: is not '<id> <path>'; correct the line")
        if value.rstrip().endswith("|"):
            pipes.append(index)
    if not pipes:
        return
    scp, out = shlex.quote(str(wav.path)), shlex.quote(str(wav.path.with_name("wav")))
    raise InputError(
        f"{wav.at(pipes[0])}: is not '<id> <path>' but a command{more(pipes)}; commands are never "
        f"executed here: run them yourself by  mkdir -p {out} && grep '| *$' {scp} | sed "
        f"'s/ *| *$//' | while read -r id command; do bash -c \"$command\" > {out}/$id.wav "
        f"< /dev/null; done  and list the files by  sed -i.piped -E "
        f"'s#^([^ ]+) .*[|] *$#\\1 '{out}'/\\1.wav#' {scp}"
    )


def _refuse_strangers(path: Path, segments: Mapping[str, Segment], known: Mapping) -> None:
    strangers = [key for key, one in segments.items() if one.recording not in known]
    if strangers:
        raise InputError(
            f"{path}: {len(strangers):,} of {len(segments):,} segments are of recordings that "
            f"wav.scp lacks: {', '.join(strangers[:SHOWN])}; add the recordings, or take these "
            "lines out"
        )


def _spans(
    path: Path, segments: Mapping[str, Segment], recordings: Mapping[str, Utterance]
) -> list[Utterance]:
    """Return the utterances of ``segments``, a file at ``path``."""
    beyond = beyond_recordings(segments, {key: one.duration for key, one in recordings.items()})
    if beyond:
        raise InputError(f"{path}: {beyond}; correct them or take them out")
    warning = overlap_warning(segments)
    if warning:
        log.warning("%s: %s", path, warning)
    return [
        span_of(recordings[one.recording], key, one, recordings[one.recording].channel)
        for key, one in segments.items()
    ]


def to_kaldi_dir(
    data_dir: str | os.PathLike, labels_dir: str | os.PathLike, out_dir: str | os.PathLike
) -> None:
    """Write a directory for Kaldi's own programs: ``utt2spk`` and ``spk2utt`` with true speakers.

    ``out_dir`` names true speakers: never give it to a self-supervised stage.

    Raises:
        InputError: ``data_dir`` or the labels cannot be read, or an utterance has no label.
    """
    paths = read_dict(Path(data_dir) / "wav.scp")
    seconds = read_dict(Path(data_dir) / "utt2dur")
    labels_path = Path(labels_dir) / "utt2spk"
    labels = read_label_file(labels_path)
    ids = dict.fromkeys(paths)
    if (Path(data_dir) / "segments").exists():
        ids = dict.fromkeys(read_segments(Path(data_dir) / "segments"))
    refuse_gaps(labels_path, labels, ids, str(data_dir))
    spoken: dict[str, list[str]] = {}
    for key in ids:
        spoken.setdefault(labels[key], []).append(key)
    extra = [name for name in SPANS if (Path(data_dir) / name).exists()]
    with replaced_directory(out_dir, marker="wav.scp") as folder:
        write_table(folder / "wav.scp", paths.items())
        write_table(folder / "utt2spk", ((key, labels[key]) for key in ids))
        write_table(folder / "spk2utt", ((s, " ".join(sorted(u))) for s, u in spoken.items()))
        write_table(folder / "utt2dur", ((k, s) for k, s in seconds.items() if k in ids))
        for name in extra:
            write_table(folder / name, read_dict(Path(data_dir) / name).items())
