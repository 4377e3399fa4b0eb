"""Score files: ``<enrol> <test> <score>`` per line, in the order of the trials, 6 decimals."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.errors import InputError
from sv.files import atomic_write
from sv.scoring.columns import Numbering, line_number, read_columns, read_floats
from sv.scoring.score_info import forget_info, write_info
from sv.scoring.trials import Trials

LINES_PER_FORMAT = 4096


class Scores(NamedTuple):
    """A score file as arrays; ``enrol`` and ``test`` (n,) are positions in ``names``."""

    path: Path
    names: list[str]
    enrol: np.ndarray
    test: np.ndarray
    values: np.ndarray

    def as_trials(self) -> Trials:
        """Return its pairs as trials without labels."""
        return Trials(self.path, self.names, self.enrol, self.test, None)


def write_scores(
    path: str | Path, trials: Trials, scores: np.ndarray, info: dict | None = None
) -> None:
    """Write ``scores`` (trials,) beside the ids of ``trials``; never leaves half a file.

    ``info`` says how they were made; see ``score_info``.
    """
    names, values = trials.names, np.asarray(scores)
    if values.shape != (len(trials),):
        raise InputError(f"{path}: {values.shape} scores for {len(trials)} trials; score again")
    forget_info(path)
    # One format of thousands of lines is about twice as fast as a format per line.
    with atomic_write(path) as handle:
        for start in range(0, len(values), LINES_PER_FORMAT):
            block = slice(start, start + LINES_PER_FORMAT)
            count = len(values[block])
            fields = [None] * (3 * count)
            fields[0::3] = [names[i] for i in trials.enrol[block].tolist()]
            fields[1::3] = [names[i] for i in trials.test[block].tolist()]
            fields[2::3] = values[block].tolist()
            handle.write("%s %s %.6f\n" * count % tuple(fields))
    if info is not None:
        write_info(path, info)


def read_scores(path: str | Path) -> Scores:
    """Read a score file; values are float64. Raises ``InputError`` with the line number."""
    path = Path(path)
    numbering = Numbering()
    enrol, test, values = [], [], []
    rows = 0
    for left, right, texts in read_columns(path, (3,), '"enrol test score"'):
        enrol.append(numbering.numbers(left))
        test.append(numbering.numbers(right))
        numbers = read_floats(texts)
        if numbers is None:
            _refuse_value(path, texts, rows)
        values.append(numbers)
        rows += len(left)
    return Scores(
        path,
        numbering.names(),
        np.concatenate(enrol),
        np.concatenate(test),
        np.concatenate(values),
    )


def _refuse_value(path: Path, texts: list[bytes], rows_before: int) -> None:
    for row, text in enumerate(texts):
        if read_floats([text]) is None:
            number = line_number(path, rows_before + row)
            raise InputError(
                f"{path}: line {number}: the score {text.decode('utf-8', 'replace')!r} is not a "
                'number; expected "enrol test score"'
            )


def match_scores(scores: Scores, trials: Trials) -> np.ndarray:
    """Return the score (trials,) of each trial, float64.

    The files usually hold the same pairs in the same order; otherwise they are joined by pair.
    Extra scores are ignored. Raises ``InputError`` for trials without a score, and for a pair
    that was scored twice with different results.
    """
    position = {name: row for row, name in enumerate(trials.names)}
    rows = np.fromiter(
        (position.get(name, -1) for name in scores.names), dtype=np.int64, count=len(scores.names)
    )
    enrol, test = rows[scores.enrol], rows[scores.test]
    if np.array_equal(enrol, trials.enrol) and np.array_equal(test, trials.test):
        return scores.values
    known = (enrol >= 0) & (test >= 0)
    keys = enrol[known] * len(trials.names) + test[known]
    return _join(keys, scores.values[known], trials, scores.path)


def _join(keys: np.ndarray, values: np.ndarray, trials: Trials, path: Path) -> np.ndarray:
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    repeated = (keys[1:] == keys[:-1]) & ~same
    if repeated.any():
        enrol, test = divmod(int(keys[1:][repeated][0]), len(trials.names))
        raise InputError(
            f"{path}: {np.count_nonzero(repeated)} pairs have two different scores, first "
            f"{trials.names[enrol]} {trials.names[test]}; score the trials again"
        )
    wanted = trials.keys
    found = np.searchsorted(keys, wanted)
    hit = np.zeros(len(wanted), dtype=bool)
    inside = found < len(keys)
    hit[inside] = keys[found[inside]] == wanted[inside]
    if not hit.all():
        first = int(np.flatnonzero(~hit)[0])
        pair = f"{trials.names[trials.enrol[first]]} {trials.names[trials.test[first]]}"
        raise InputError(
            f"{path}: {np.count_nonzero(~hit)} of the {len(trials)} trials of {trials.path} have "
            f"no score, first {pair}; score these trials again, or give the trial list that the "
            "scores were made with"
        )
    return values[found]
