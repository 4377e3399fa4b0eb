"""Score files: ``<enrol> <test> <score>`` per line, in the order of the trials, 6 decimals."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.data.trials import Trials
from sv.errors import InputError
from sv.files import atomic_write, is_stream
from sv.kaldi.columns import Numbering, line_number, read_columns, read_floats

LINES_PER_FORMAT = 4096


# ---------------------------------------------------------------- the facts beside a score file
# A small JSON file, ``<scores>.json``, says which back-end, cohort and calibration made the scores
# and whether labels were used. So a report can mark a result that is not self-supervised. If the
# file is deleted, only these marks are lost.

# In order of strength: "clusters" are pseudo-labels, made without any true label.
LABELS = ("none", "clusters", "speakers")


def info_path(scores: str | Path) -> Path:
    """Return the path of the facts about the score file ``scores``."""
    return Path(f"{scores}.json")


def strongest(*kinds: str) -> str:
    """Return the strongest kind of labels: speakers before clusters before none."""
    return max(kinds, key=LABELS.index, default="none")


def read_info(scores: str | Path) -> dict:
    """Return the facts about ``scores``; {} if there are none, as for another program's scores."""
    path = info_path(scores)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path} is not JSON; remove it, or make {scores} again") from None


def forget_info(scores: str | Path) -> None:
    """Remove the facts before ``scores`` is replaced, so that they never describe new scores."""
    if not is_stream(scores):
        info_path(scores).unlink(missing_ok=True)


def write_info(scores: str | Path, info: dict) -> None:
    """Write the facts about ``scores``, after the scores themselves; do nothing for a stream."""
    if is_stream(scores):
        return
    with atomic_write(info_path(scores)) as handle:
        json.dump(info, handle, indent=1)
        handle.write("\n")


class Scores(NamedTuple):
    """A score file as arrays; ``enrol`` and ``test`` (n,) are positions in ``names``."""

    path: Path
    names: list[str]
    enrol: np.ndarray
    test: np.ndarray
    values: np.ndarray

    def as_trials(self) -> Trials:
        """Return the pairs as trials without labels."""
        return Trials(self.path, self.names, self.enrol, self.test, None)


def write_scores(
    path: str | Path, trials: Trials, scores: np.ndarray, info: dict | None = None
) -> None:
    """Write the ids and ``scores`` (trials,) of ``trials``, atomically.

    ``info``: facts about the scores for ``write_info``, such as the back-end.
    """
    names, values = trials.names, np.asarray(scores)
    if values.shape != (len(trials),):
        raise InputError(f"{path}: {values.shape} scores for {len(trials)} trials; score again")
    forget_info(path)
    # Formatting thousands of lines at once is about twice as fast as formatting each line.
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
        numbering.names(path),
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

    Usually both files have the same pairs in the same order; otherwise they are joined by pair.
    Extra scores are ignored. Raises ``InputError`` if a trial has no score, or if a pair has two
    different scores.
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
