"""Checks of a data directory; every message names the file, the line and the remedy.

This module imports only the standard library (and numpy for a list of trials). So a million
utterances take seconds, and torch is not loaded.
"""

import os
import stat
from pathlib import Path

from sv.data.manifest_files import manifest_problems
from sv.data.segment_checks import span_problems
from sv.errors import InputError, command_of
from sv.kaldi.paths import base_folder, from_base
from sv.kaldi.tables import Table, form_problems, more, read_table
from sv.numbers import to_float, to_int
from sv.text import read_text

REQUIRED = ("wav.scp", "utt2spk", "utt2dur")
FEATURES = ("feats.scp", "utt2num_frames")
OPTIONAL = ("wav_ark.scp", "utt2num_samples")
REMEDIES = dict.fromkeys(REQUIRED, "run stage 0 (data)") | dict.fromkeys(
    FEATURES, "run stage 1 (features), or give --no-feats before it has run"
)
FRAME_SHIFT = 0.010
FRAME_OVERHANG = 0.015
"""A frame is 25 ms long: n frames cover n * 10 ms + 15 ms."""


def validate(
    data_dir: str | os.PathLike,
    *,
    feats: bool = True,
    audio: bool = True,
    manifests: bool = True,
    labels_inside: bool = False,
) -> list[str]:
    """Return the problems of a data directory, an empty list if it is valid.

    Args:
        data_dir: e.g. ``data/train``.
        feats: require ``feats.scp`` and ``utt2num_frames`` for every utterance that
            ``bad_utterances`` does not list. If these files exist, they are checked anyway.
        audio: check that the audio files exist.
        manifests: require the lhotse manifests and compare them with the Kaldi files.
        labels_inside: let ``utt2spk`` name true speakers.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        remedy = f"run stage 0: {command_of(0)}; or check the path"
        return [f"{folder}: no such data directory; {remedy}"]
    fix = f"; run utils/fix_data_dir {folder}"
    problems: list[str] = []
    tables: dict[str, Table] = {}
    for name in (*REQUIRED, *FEATURES, *OPTIONAL):
        wanted = name in REQUIRED or (feats and name in FEATURES)
        if not wanted and not (folder / name).exists():
            continue
        try:
            tables[name] = read_table(folder / name)
        except InputError as error:
            problems.append(f"{error}; {REMEDIES.get(name, 'remove it or make it again')}")
            continue
        problems += [text + fix for text in form_problems(tables[name])]
    if "wav.scp" not in tables:
        return problems
    listed, odd = span_problems(folder, tables["wav.scp"], fix)
    problems += odd
    bad = _bad_utterances(folder)
    for name, table in tables.items():
        left_out = set() if name in REQUIRED else bad
        if name != "wav.scp":
            problems += [text + fix for text in _id_problems(table, listed, left_out)]
    problems += _wav_problems(tables["wav.scp"], audio, fix)
    if "utt2spk" in tables:
        problems += _speaker_problems(folder, tables["utt2spk"], labels_inside, fix)
    problems += _length_problems(tables, fix)
    for name in ("feats.scp", "wav_ark.scp"):
        if name in tables:
            problems += _ark_problems(tables[name])
    if (folder / "trials").exists():
        problems += _trial_problems(folder / "trials", set(listed.keys), listed.path.name, fix)
    if manifests:
        problems += manifest_problems(
            folder, tables["wav.scp"], tables.get("utt2dur"), labels_inside, fix, listed
        )
    return problems


def _bad_utterances(folder: Path) -> set[str]:
    """Return the ids that stage 1 has left out with a reason; they need no features."""
    path = folder / "bad_utterances"
    if not path.exists():
        return set()
    return {line.split("\t")[0] for line in read_text(path).split("\n")}


def _id_problems(table: Table, listed: Table, left_out: set[str]) -> list[str]:
    """Compare the ids of a table with those of ``listed``; the table may lack ``left_out``.

    listed: ``segments``, or ``wav.scp`` without one.
    """
    if table.keys == listed.keys:
        return []
    problems, name = [], listed.path.name
    here, there = set(table.keys), set(listed.keys)
    extra = [i for i, key in enumerate(table.keys) if key not in there]
    if extra:
        problems.append(table.at(extra[0]) + f": {name} has no such utterance" + more(extra))
    absent = [i for i, key in enumerate(listed.keys) if key not in here and key not in left_out]
    if absent:
        problems.append(
            f"{table.path}: lacks utterance '{listed.keys[absent[0]]}' "
            f"({name}, line {absent[0] + 1}){more(absent)}"
        )
    return problems


def _wav_problems(wav: Table, audio: bool, fix: str) -> list[str]:
    problems = []
    pipes = [i for i, value in enumerate(wav.values) if value.rstrip().endswith("|")]
    if pipes:
        problems.append(
            wav.at(pipes[0]) + f": is a command, not a file{more(pipes)}; data files are never "
            "executed here: run the commands yourself and put the files they make into wav.scp"
        )
    if audio:
        base = base_folder(wav.path, wav.values)
        paths = (from_base(base, path) for path in wav.values)
        missing = [i for i, path in enumerate(paths) if not is_filled_file(path)]
        missing = sorted(set(missing) - set(pipes))
        if missing:
            problems.append(
                wav.at(missing[0]) + f": there is no such audio file, or it is empty"
                f"{more(missing)}; mount the disk or correct the path, or leave them out:"
                + fix.removeprefix("; run")
            )
    return problems


def is_filled_file(path: str) -> bool:
    """Tell whether the path is a file that is not empty."""
    try:  # one system call a file: this runs a million times
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return status.st_size > 0 and stat.S_ISREG(status.st_mode)


def _speaker_problems(folder: Path, utt2spk: Table, labels_inside: bool, fix: str) -> list[str]:
    problems = []
    if not labels_inside and utt2spk.keys != utt2spk.values:
        named = [
            i for i, utterance in enumerate(utt2spk.keys) if utterance != utt2spk.values[i].rstrip()
        ]
        if named:
            labels = folder.parent / "labels" / folder.name
            problems.append(
                utt2spk.at(named[0]) + f": names a speaker; here each utterance maps to itself"
                f"{more(named)}; keep the true labels apart: mkdir -p {labels} && "
                f"mv {utt2spk.path} {labels}/, then utils/fix_data_dir {folder} "
                "(or allow them: --labels-inside)"
            )
    path = folder / "spk2utt"
    try:
        spk2utt = read_table(path)
    except InputError as error:
        return [*problems, f"{error}{fix}"]
    problems += [text + fix for text in form_problems(spk2utt)]
    if utt2spk.keys == spk2utt.keys and utt2spk.values == spk2utt.values == utt2spk.keys:
        return problems
    speaker_of = utt2spk.as_dict()
    listed = 0
    for index, (speaker, utterances) in enumerate(zip(spk2utt.keys, spk2utt.values, strict=True)):
        for utterance in utterances.split():
            listed += 1
            if speaker_of.get(utterance) != speaker:
                problems.append(
                    spk2utt.at(index) + f": utterance '{utterance}' is not of this speaker in "
                    f"utt2spk{fix}"
                )
                return problems
    if listed != len(speaker_of):
        problems.append(
            f"{path}: lists {listed:,} utterances, utt2spk {len(speaker_of):,}; it is not the "
            f"inverse of utt2spk{fix}"
        )
    return problems


def _length_problems(tables: dict[str, Table], fix: str) -> list[str]:
    problems = []
    lengths: dict[str, dict[str, float]] = {}
    units = {
        "utt2dur": (float, "a duration in seconds"),
        "utt2num_frames": (int, "a number of frames"),
        "utt2num_samples": (int, "a number of samples"),
    }
    for name, (kind, what) in units.items():
        table = tables.get(name)
        if table is None:
            continue
        numbers = [positive(value, kind) for value in table.values]
        bad = [i for i, number in enumerate(numbers) if number is None]
        if bad:
            problems.append(table.at(bad[0]) + f": is not {what} above 0{more(bad)}{fix}")
        lengths[name] = dict(zip(table.keys, numbers, strict=True))
    seconds = lengths.get("utt2dur", {})
    odd = []
    for index, (utterance, frames) in enumerate(lengths.get("utt2num_frames", {}).items()):
        duration = seconds.get(utterance)
        if duration is None or frames is None:
            continue
        covered = frames * FRAME_SHIFT + FRAME_OVERHANG
        if abs(covered - duration) > max(0.05, 0.02 * duration):
            odd.append((index, utterance, duration, covered))
    if odd:
        index, utterance, duration, covered = odd[0]
        problems.append(
            tables["utt2num_frames"].at(index) + f": so many frames of 10 ms cover {covered:.2f} s,"
            f" but utt2dur has {duration:.2f} s for '{utterance}'{more(odd)}; the features are of "
            f"other audio, or a header misled utt2dur: run stage 1 (features) again{fix}"
        )
    return problems


def positive(text: str, kind: type) -> float | None:
    """Return the number that ``text`` writes, or None unless it is finite and above 0."""
    try:
        number = to_int(text) if kind is int else to_float(text)
    except ValueError:
        return None
    return number if number > 0 else None


def _ark_problems(feats: Table) -> list[str]:
    """Check that the arks exist which the lines of ``feats.scp`` name."""
    pipes = [i for i, value in enumerate(feats.values) if value.rstrip().endswith("|")]
    if pipes:
        return [
            feats.at(pipes[0]) + f": is a command{more(pipes)}; data files are never executed "
            "here: run stage 1 (features) again"
        ]
    first: dict[str, int] = {}
    for index, value in enumerate(feats.values):
        path, _, offset = value.rpartition(":")
        first.setdefault(path if path and offset.isdecimal() else value, index)
    base = base_folder(feats.path, list(first))
    return [
        feats.at(index) + ": there is no such ark file, or it is empty; run stage 1 (features)"
        for path, index in first.items()
        if not is_filled_file(from_base(base, path))
    ]


def _trial_problems(path: Path, known: set[str], listed: str, fix: str) -> list[str]:
    from sv.data.trials import read_trials  # imports numpy, so only if there is a list

    try:
        trials = read_trials(path)
        unknown = [name for name in trials.names if name not in known]
        if unknown:
            return [
                f"{path}: names {len(unknown):,} utterances that {listed} lacks, such as "
                f"'{unknown[0]}' in line {trials.line_of(unknown[0])}{fix}"
            ]
        trials.require_both_classes()
    except InputError as error:
        return [f"{error}; correct it, run stage 0 (data) again, or remove it if it is not needed"]
    return []
