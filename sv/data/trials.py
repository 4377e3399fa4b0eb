"""Trial lists: which pairs of utterances to compare, and which pairs share a speaker.

A list has one of three forms. The first line decides which, and all other lines must agree:

- ``1 enrol test`` or ``0 enrol test`` (VoxCeleb; 1 = same speaker),
- ``enrol test target`` or ``enrol test nontarget`` (Kaldi),
- ``enrol test`` (no labels: enough for scoring, not for error rates).
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.columns import Numbering, line_number, read_columns

EXPECTED = '"1|0 enrol test", "enrol test target|nontarget" or "enrol test"'
VOXCELEB = {b"1": True, b"0": False}
KALDI = {b"target": True, b"nontarget": False}
SHOWN = 10


@dataclass(frozen=True)
class Trials:
    """A trial list as arrays.

    ``names``: the distinct utterance ids, in any order; ``enrol``, ``test``: int32 (trials,),
    positions in ``names``; ``labels``: bool (trials,), True = target = same speaker, or None if
    the list has no labels; ``path``: the file of the list, for messages.
    """

    path: Path
    names: list[str]
    enrol: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.enrol)

    @property
    def keys(self) -> np.ndarray:
        """A key for each trial, int64 (trials,); equal (enrol, test) pairs have equal keys."""
        return self.enrol.astype(np.int64) * len(self.names) + self.test

    @property
    def unordered_keys(self) -> np.ndarray:
        """A key for each trial, int64 (trials,), equal for (a, b) and (b, a)."""
        first, second = np.minimum(self.enrol, self.test), np.maximum(self.enrol, self.test)
        return first.astype(np.int64) * len(self.names) + second

    @cached_property
    def duplicates(self) -> int:
        """Number of trials that repeat an earlier one (the same enrol and test utterance)."""
        keys = np.sort(self.keys)
        return int(np.count_nonzero(keys[1:] == keys[:-1]))

    @classmethod
    def of(cls, path: str | Path, rows: Sequence[tuple[int, str, str]]) -> "Trials":
        """Return trials from (1 or 0, enrolment id, test id); ``path``: for messages."""
        number: dict[str, int] = {}
        for _, *pair in rows:
            for name in pair:
                number.setdefault(name, len(number))
        enrol, test = (
            np.fromiter((number[row[side]] for row in rows), np.int32, len(rows)) for side in (1, 2)
        )
        labels = np.fromiter((row[0] == 1 for row in rows), bool, len(rows))
        return cls(Path(path), list(number), enrol, test, labels)

    def rows(self) -> list[tuple[int, str, str]]:
        """Return (1 or 0, enrolment id, test id) of each trial; use it for small lists only."""
        names, labels = self.names, self.require_both_classes()
        columns = (labels.tolist(), self.enrol.tolist(), self.test.tolist())
        return [(int(y), names[e], names[t]) for y, e, t in zip(*columns, strict=True)]

    def line_of(self, name: str) -> int:
        """Return the line (from 1) of the first trial with utterance ``name``, for messages."""
        number = self.names.index(name)
        row = int(np.flatnonzero((self.enrol == number) | (self.test == number))[0])
        return line_number(self.path, row)

    def where(self, keep: np.ndarray) -> "Trials":
        """Return the trials that a boolean mask (trials,) or places pick; ``names`` are kept."""
        labels = None if self.labels is None else self.labels[keep]
        return Trials(self.path, self.names, self.enrol[keep], self.test[keep], labels)

    def digest(self) -> str:
        """Return 12 hexadecimal digits that are equal for two lists with the same pairs.

        The order of the trials, their labels and their form do not matter.
        """
        order = np.argsort(self.names)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        keys = np.unique(rank[self.enrol] * len(order) + rank[self.test])
        digest = hashlib.sha256("\n".join(self.names[i] for i in order).encode())
        digest.update(keys.astype("<i8").tobytes())
        return digest.hexdigest()[:12]

    def require_both_classes(self) -> np.ndarray:
        """Return the labels, or raise ``InputError`` if error rates cannot be computed."""
        if self.labels is None:
            raise InputError(
                f"{self.path}: the trials have no labels, so error rates cannot be computed; "
                'add a first column 1 or 0, or a third column "target" or "nontarget"'
            )
        targets = int(np.count_nonzero(self.labels))
        if targets in (0, len(self)):
            present, absent = ("non-target", "target") if targets == 0 else ("target", "non-target")
            raise InputError(
                f"{self.path}: all {len(self)} trials are {present} trials; error rates need both "
                f"classes; add {absent} trials"
            )
        return self.labels

    def rows_of(self, ids: Iterable[str], source: str, side: str = "both") -> np.ndarray:
        """Return, for each of ``names``, its position in ``ids``: int64 (names,).

        ``side``: the side that needs the ids, "enrol", "test" or "both". A name that this side does
        not use may be absent from ``ids``, and gets -1. ``source``: name of the file with the ids,
        for the message.

        Raises:
            InputError: ``ids`` lack a name that this side uses.
        """
        position = {name: row for row, name in enumerate(ids)}
        rows = np.fromiter(
            (position.get(name, -1) for name in self.names), dtype=np.int64, count=len(self.names)
        )
        missing = rows < 0
        if side != "both" and missing.any():
            used = np.zeros(len(self.names), dtype=bool)
            used[self.enrol if side == "enrol" else self.test] = True
            missing &= used
        if missing.any():
            where = np.flatnonzero(missing)
            shown = ", ".join(self.names[i] for i in where[:SHOWN])
            raise InputError(
                f"{self.path}: {len(where)} of {len(self.names)} utterances named by the trials "
                f"are not in {source}: {shown}{', ...' if len(where) > SHOWN else ''}; "
                "compute their embeddings, or check that both files write the ids the same way "
                f"(there an id looks like {next(iter(position), '-')!r})"
            )
        return rows


def read_trials(path: str | Path, paths: bool = False) -> Trials:
    """Read a trial list (see the module for the three forms).

    ``paths``: the list names files, not utterances, and their names may have any character.

    Raises:
        InputError: the file is empty, a line is malformed (the message gives its number), an id has
            an invisible character, or a pair is listed both as target and as non-target.
    """
    path = Path(path)
    numbering = Numbering()
    form: dict[bytes, bool] | None = None
    enrol, test, labels = [], [], []
    rows = 0
    for columns in read_columns(path, (2, 3), EXPECTED):
        if rows == 0:
            form = _detect(columns)
        if form is KALDI:
            left, right, marks = columns
        elif form is VOXCELEB:
            marks, left, right = columns
        else:
            left, right = columns
        if form is not None:
            labels.append(_read_labels(path, marks, form, rows))
        enrol.append(numbering.numbers(left))
        test.append(numbering.numbers(right))
        rows += len(left)
    trials = Trials(
        path=path,
        names=numbering.names(path, any_character=paths),
        enrol=np.concatenate(enrol),
        test=np.concatenate(test),
        labels=np.concatenate(labels) if labels else None,
    )
    refuse_contradictions(trials)
    return trials


def _detect(columns: list[list[bytes]]) -> dict[bytes, bool] | None:
    if len(columns) == 2:
        return None
    # "1" as a first column may be an utterance id, so "target" as the last column decides first.
    return KALDI if columns[2][0] in KALDI else VOXCELEB


def _read_labels(
    path: Path, marks: list[bytes], form: dict[bytes, bool], rows_before: int
) -> np.ndarray:
    labels = list(map(form.get, marks))
    if None in labels:
        bad = labels.index(None)
        number, mark = line_number(path, rows_before + bad), marks[bad].decode("utf-8", "replace")
        wanted = (
            '"target" or "nontarget" as the third column, as in the first line'
            if form is KALDI
            else 'a label 1 or 0 as the first column (or "target" or "nontarget" as the third)'
        )
        raise InputError(f"{path}: line {number}: found {mark!r} instead of {wanted}")
    return np.array(labels, dtype=bool)


def refuse_contradictions(trials: Trials) -> None:
    """Raise ``InputError`` if a pair has both labels, in the same or in the other order."""
    if trials.labels is None:
        return
    # One sort brings the two labels of a pair side by side.
    keys = np.sort(2 * trials.unordered_keys + trials.labels)
    both = keys[1:][(keys[1:] == keys[:-1] + 1) & (keys[1:] % 2 == 1)]
    if len(both):
        one, other = divmod(int(both[0]) // 2, len(trials.names))
        first = (trials.names[one], trials.names[other])
        given = set(zip(trials.enrol.tolist(), trials.test.tolist(), strict=True))
        if (one, other) not in given:
            first = first[::-1]
        raise InputError(
            f"{trials.path}: {len(both):,} pairs are listed both as target and as non-target (in "
            f"one order or in both), first {' '.join(first)}; correct their labels"
        )


# ---------------------------------------------------------------- published trial lists
# The published lists name files; here they become lists of utterance ids.

BLOCK = 1 << 16


def id_of(name: str) -> str:
    """Return the utterance id of a path ``<speaker>/<session>/<utterance>.wav``."""
    return "-".join(PurePosixPath(name).with_suffix("").parts)


def read_distributed(path: str | os.PathLike) -> Trials:
    """Read a trial list whose names are paths; ``names`` of the result are utterance ids.

    Raises:
        InputError: see ``read_trials``; or one class is missing, or two paths have the same
            utterance id.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such trial list; give the folder that holds it")
    trials = read_trials(path, paths=True)
    trials.require_both_classes()
    names = [id_of(name) for name in trials.names]
    if len(set(names)) != len(names):
        raise InputError(f"{path}: two of its paths mean the same utterance; check the list")
    return Trials(trials.path, names, trials.enrol, trials.test, trials.labels)


def refuse_missing(trials: Trials, known: Collection[str], where: str) -> None:
    """Raise ``InputError`` if trials name utterances that are not ``known``.

    The message gives the number of such utterances and names the first ten in the order of the
    list. ``where``: name of the place that was searched.
    """
    absent = {name for name in trials.names if name not in known}
    if not absent:
        return
    positions = [number for number, name in enumerate(trials.names) if name in absent]
    first = {}
    for side in (trials.enrol, trials.test):
        for line, number in enumerate(side.tolist(), 1):
            if trials.names[number] in absent:
                first[number] = min(line, first.get(number, line))
    shown = sorted(positions, key=first.__getitem__)[:SHOWN]
    text = ", ".join(f"{trials.names[number]} (line {first[number]})" for number in shown)
    raise InputError(
        f"{trials.path}: names {len(absent):,} files (of {len(trials.names):,}) that are not in "
        f"{where}: {text}{', ...' if len(absent) > SHOWN else ''}; complete the corpus: error "
        "rates of a part of the list cannot be compared"
    )


def write_trials(path: str | os.PathLike, trials: Trials) -> None:
    """Write lines ``<1|0> <enrol-id> <test-id>`` in the order of the list."""
    names = trials.names
    with atomic_write(path) as handle:
        for start in range(0, len(trials), BLOCK):
            part = slice(start, start + BLOCK)
            columns = (x[part].tolist() for x in (trials.labels, trials.enrol, trials.test))
            handle.writelines(
                f"{int(label)} {names[enrol]} {names[test]}\n"
                for label, enrol, test in zip(*columns, strict=True)
            )
