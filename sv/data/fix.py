"""Repairs a data directory: keeps the utterances that all files share, reports the rest."""

import gzip
import json
import os
import shutil
from pathlib import Path

from sv.data.lengths import measured_again, with_length
from sv.data.manifest_files import MANIFESTS, read_items
from sv.data.segment_checks import drop_bad_segments
from sv.data.segments import SPANS
from sv.data.validate import FEATURES, OPTIONAL, REQUIRED, is_filled_file, positive
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.paths import base_folder, from_base
from sv.kaldi.tables import read_table

RECORDINGS_OF = "recordings.jsonl.gz"
RECORDINGS = ("wav.scp", "reco2dur", "reco2file_and_channel")
SHOWN = 3
Rows = dict[str, str]


def fix(data_dir: str | os.PathLike, *, audio: bool = True) -> list[str]:
    """Repair the directory in place; return a sentence for each change.

    Only utterances that all files share are kept (Kaldi's rule). Lines without a value, repeated
    lines and durations that are not positive are removed. If ``audio`` is true, entries whose audio
    file is missing are removed, and durations that contradict the features are measured again.
    ``spk2utt`` is made again; trials and lhotse manifests are filtered. A file that changes is
    first copied to ``.backup/``. Everything is computed before the first byte is written.

    Raises:
        InputError: a problem that only a person can solve: one id has two values, ``wav.scp`` has
            commands, ``utt2spk`` names true speakers, no utterance is left, the trial list cannot
            be read, or the trials that are left have one class only.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such data directory; check the path")
    done: list[str] = []
    tables, recordings = _read_tables(folder, done)
    _drop_bad_values(folder, tables | recordings, audio, done)
    whole = "segments" not in tables
    if whole:
        tables = {"wav.scp": recordings.pop("wav.scp")} | tables
    else:
        drop_bad_segments(tables["segments"], recordings, done)
    lengths = measured_again(folder, tables) if audio and whole else {}
    for key, (samples, rate) in lengths.items():
        tables["utt2dur"][key] = str(round(samples / rate, 6))
    if lengths:
        done.append(f"utt2dur: corrected {_some(list(lengths))}: by decoding, as in the features")
    manifests = {
        name: [item["id"] for _, item in read_items(folder / name)]
        for name in MANIFESTS
        if (folder / name).exists()
    }
    files = {} if whole else {RECORDINGS_OF: manifests.pop(RECORDINGS_OF, None)}
    keep = _intersection(folder, tables, manifests, done)
    used = keep
    if not whole:
        used = sorted({tables["segments"][key].split()[0] for key in keep})

    changes = {
        name: _text((key, rows[key]) for key in keep if key in rows)
        for name, rows in tables.items()
    }
    changes |= {
        name: _text((key, rows[key]) for key in used if key in rows)
        for name, rows in recordings.items()
    }
    changes["spk2utt"] = _text((key, key) for key in keep)
    if (folder / "trials").exists():
        changes["trials"] = _filtered_trials(folder / "trials", set(keep), done)
    changes = {name: text for name, text in changes.items() if _differs(folder / name, text)}
    stale = {name: keep for name, ids in manifests.items() if ids != keep or lengths}
    stale |= {name: used for name, ids in files.items() if ids not in (None, used)}
    _write(folder, changes, stale, lengths, done)
    return done


def _read_tables(folder: Path, done: list[str]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Return the tables of utterances, and those of recordings (``wav.scp`` and its like)."""
    tables = {}
    for name in (*REQUIRED, *FEATURES, *OPTIONAL, *SPANS):
        if (folder / name).exists() or name == "wav.scp":
            tables[name] = _clean_rows(folder / name, done)
    _refuse_commands(folder / "wav.scp", tables["wav.scp"])
    recordings = {name: tables.pop(name) for name in RECORDINGS if name in tables}
    listed = tables.get("segments", recordings["wav.scp"])
    if "utt2spk" not in tables:
        tables["utt2spk"] = {utterance: utterance for utterance in listed}
        done.append("utt2spk: made, each utterance maps to itself")
    _refuse_speakers(folder, tables["utt2spk"])
    return tables, recordings


def _clean_rows(path: Path, done: list[str]) -> Rows:
    """Return {key: value} of the lines, without malformed and repeated lines."""
    table = read_table(path)
    rows: Rows = {}
    malformed = []
    for index, (key, value) in enumerate(zip(table.keys, table.values, strict=True)):
        if not value:
            malformed.append(table.lines[index])
        elif rows.setdefault(key, value) != value:
            raise InputError(
                f"{table.at(index)}: the id stands in line {table.keys.index(key) + 1} too, with "
                "another value; only you can know which one is right: remove the other"
            )
    lost = len(table.keys) - len(malformed) - len(rows)
    if lost:
        done.append(f"{path.name}: dropped {lost:,} lines that repeat another one")
    if malformed:
        done.append(f"{path.name}: dropped {len(malformed):,} lines without a value")
    if not rows:
        raise InputError(f"{path}: has no valid line; make it again")
    return rows


def _refuse_commands(path: Path, rows: Rows) -> None:
    for key, value in rows.items():
        if value.rstrip().endswith("|"):
            raise InputError(
                f"{path}: '{key} {value}' is a command, not a file; data files are never executed "
                "here: run the commands yourself and put the files they make into wav.scp"
            )


def _refuse_speakers(folder: Path, rows: Rows) -> None:
    for key, value in rows.items():
        if key != value:
            labels = folder.parent / "labels" / folder.name
            raise InputError(
                f"{folder}/utt2spk: '{key} {value}' names a speaker; here each utterance maps to "
                f"itself. Keep the true labels apart: mkdir -p {labels} && mv {folder}/utt2spk "
                f"{labels}/, then run utils/fix_data_dir {folder} again"
            )


def _drop_bad_values(folder: Path, tables: dict[str, Rows], audio: bool, done: list[str]) -> None:
    tests = {
        "utt2dur": (lambda value: positive(value, float), "the duration is not above 0"),
        "utt2num_frames": (lambda value: positive(value, int), "there are no frames"),
        "utt2num_samples": (lambda value: positive(value, int), "there are no samples"),
    }
    if audio:
        base = base_folder(folder / "wav.scp", list(tables["wav.scp"].values()))
        tests["wav.scp"] = (
            lambda path: is_filled_file(from_base(base, path)),
            "the audio file is missing or empty",
        )
    for name, (good, reason) in tests.items():
        rows = tables.get(name, {})
        bad = [key for key, value in rows.items() if not good(value)]
        for key in bad:
            del rows[key]
        if bad:
            done.append(f"{name}: dropped {_some(bad)}: {reason}")


def _intersection(
    folder: Path, tables: dict[str, Rows], manifests: dict[str, list[str]], done: list[str]
) -> list[str]:
    """Return the ids that every file has, sorted; add to ``done`` what each file loses."""
    sets = {name: set(rows) for name, rows in tables.items()}
    sets |= {name: set(ids) for name, ids in manifests.items()}
    common = set.intersection(*sets.values())
    if not common:
        listed = "segments" if "segments" in sets else "wav.scp"
        smallest = min(sets, key=lambda name: len(sets[name] & sets[listed]))
        raise InputError(
            f"{folder}: no utterance is in all of {', '.join(sorted(sets))}, so nothing would be "
            f"left and nothing was changed; {smallest} shares the fewest with {listed}: "
            "remove it or make it again"
        )
    for name, ids in sets.items():
        if len(ids) > len(common):
            lost = sorted(ids - common)
            lacking = sorted(other for other, those in sets.items() if not those.issuperset(lost))
            done.append(
                f"{name}: dropped {_some(lost)}: not in "
                f"{' and '.join(other for other in lacking if other != name)}"
            )
    return sorted(common)


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
    return f"{len(keys):,} utterances ({shown})"


def _filtered_trials(path: Path, known: set[str], done: list[str]) -> str:
    """Return the trials of known utterances, in the form ``<1|0> <enrol> <test>``."""
    from sv.data.trials import read_trials  # imports numpy, so only if there is a list

    trials = read_trials(path)
    trials.require_both_classes()
    rows = trials.rows()
    kept = [row for row in rows if row[1] in known and row[2] in known]
    if len({label for label, _, _ in kept}) < 2:
        raise InputError(
            f"{path}: only {len(kept):,} of {len(rows):,} trials name utterances that are left, "
            "and they are not of both classes; nothing was changed: correct the list, or remove it"
        )
    if len(kept) < len(rows):
        done.append(f"trials: dropped {len(rows) - len(kept):,} trials of utterances not here")
    return "".join(f"{label} {enrol} {test}\n" for label, enrol, test in kept)


def _text(rows) -> str:
    return "".join(f"{key} {value}\n" for key, value in rows)


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_bytes() != text.encode()


def _write(
    folder: Path,
    changes: dict[str, str],
    stale: dict[str, list[str]],
    lengths: dict[str, tuple[int, int]],
    done: list[str],
) -> None:
    backup = folder / ".backup"
    for name in [*changes, *stale]:
        if (folder / name).exists():
            backup.mkdir(exist_ok=True)
            shutil.copy2(folder / name, backup / name)
    for name, keep in stale.items():
        _filter_manifest(folder / name, keep, lengths)
        done.append(f"{name}: sorted and filtered")
    for name, text in changes.items():
        with atomic_write(folder / name) as handle:
            handle.write(text)
    rewritten = sorted([*changes, *stale])
    if rewritten:
        done.append(f"rewritten: {' '.join(rewritten)}; the former files are in {backup}")


def _filter_manifest(path: Path, keep: list[str], lengths: dict[str, tuple[int, int]]) -> None:
    wanted = set(keep)
    lines = {}
    for line, item in read_items(path):
        if item["id"] in lengths:
            line = json.dumps(with_length(item, *lengths[item["id"]])) + "\n"
        if item["id"] in wanted:
            lines[item["id"]] = line
    with atomic_write(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        for key in keep:
            packed.write(lines[key].encode())
