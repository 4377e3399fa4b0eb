"""Normalisation of scores by a cohort: Z-, T-, S- and AS-norm.

Some utterances score high against everybody. So each side of a trial is also scored against a
cohort of other people's utterances, and the score of the trial is standardised by the mean and the
deviation of these cohort scores:

- Z-norm (Reynolds 1997): (s - mean_e) / std_e, from the enrolment side,
- T-norm (Auckenthaler et al. 2000): (s - mean_t) / std_t, from the test side,
- S-norm (Kenny 2010): half the sum of the two,
- AS-norm (Karam et al. 2011; Matejka et al. 2017): like S-norm, but from only the ``top_n`` largest
  cohort scores of each side.

Standard deviations divide by the number of scores (numpy's default).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import numpy as np

from sv.errors import InputError
from sv.progress import progress
from sv.scoring.pairs import Prepared, Sides, score_matrix

Kind = Literal["z", "t", "s", "as"]

# 512 rows against 20,000 cohort members are 40 MB. With 64 rows the product took 1.6 times as long,
# because BLAS packs the cohort again for each block.
BLOCK_SCORES = 512 * 20_000
# One cohort score in STRIDE is in the sample of ``_largest``.
STRIDE = 16


def as_norm(
    scores: np.ndarray, enroll_cohort: np.ndarray, test_cohort: np.ndarray, top_n: int
) -> np.ndarray:
    """Return AS-normalised scores (trials,) float64.

    ``scores``: (trials,). ``enroll_cohort``, ``test_cohort``: (trials, cohort), the scores of the
    enrolment and of the test side of each trial against the cohort. If ``top_n`` is the size of
    the cohort or more, the whole cohort is used, as in S-norm. ``ScoreNorm`` does the same from
    embeddings, without these matrices, and once per utterance instead of once per trial.
    """
    return _half_sum(
        scores, top_statistics(enroll_cohort, top_n), top_statistics(test_cohort, top_n)
    )


def as_norm_pair(score: float, pair: np.ndarray, cohort: np.ndarray, top_n: int) -> float:
    """Return the AS-normalised score of one pair of embeddings.

    ``score``: their cosine. ``pair``: (2, dim); ``cohort``: (members, dim) of length one.
    """
    pair = np.asarray(pair, np.float32)
    return float(as_norm_of_one(np.array([score]), pair[0], pair[1:], cohort, top_n)[0])


def as_norm_of_one(
    scores: np.ndarray, voice: np.ndarray, others: np.ndarray, cohort: np.ndarray, top_n: int
) -> np.ndarray:
    """Return the AS-normalised scores (n,) of one embedding against others.

    ``scores``: (n,), their cosines. ``voice``: (dim,); ``others``: (n, dim); ``cohort``:
    (members, dim) of length one.
    """
    rows = np.concatenate((voice[None], others)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean, std = top_statistics(rows @ cohort.T, top_n)
    return _half_sum(scores, (mean[:1], std[:1]), (mean[1:], std[1:]))


def normalised_by(cohort: tuple[np.ndarray, int] | None) -> Callable[..., np.ndarray] | None:
    """Return ``as_norm_of_one`` with the cohort and the ``top_n`` of a model, or None."""
    return None if cohort is None else partial(as_norm_of_one, cohort=cohort[0], top_n=cohort[1])


def s_norm(scores: np.ndarray, enroll_cohort: np.ndarray, test_cohort: np.ndarray) -> np.ndarray:
    """Return S-normalised scores (trials,); see ``as_norm``."""
    return _half_sum(scores, top_statistics(enroll_cohort), top_statistics(test_cohort))


def z_norm(scores: np.ndarray, enroll_cohort: np.ndarray) -> np.ndarray:
    """Return Z-normalised scores (trials,); see ``as_norm``."""
    return _standardise(scores, *top_statistics(enroll_cohort))


def t_norm(scores: np.ndarray, test_cohort: np.ndarray) -> np.ndarray:
    """Return T-normalised scores (trials,); see ``as_norm``."""
    return _standardise(scores, *top_statistics(test_cohort))


def top_statistics(
    cohort_scores: np.ndarray, top_n: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (n,) of the ``top_n`` largest of each row of (n, cohort).

    Results are float64. If ``top_n`` is None, all scores are used. Raises ``InputError`` for fewer
    than two scores, and for a row of equal scores, whose deviation is 0.
    """
    cohort_scores = np.asarray(cohort_scores)
    size = cohort_scores.shape[1] if cohort_scores.ndim == 2 else 0
    top_n = size if top_n is None else min(top_n, size)
    if top_n < 2:
        raise InputError(
            f"cohort scores of shape {cohort_scores.shape} and top_n {top_n}: give a row per "
            "trial, and at least 2 cohort scores"
        )
    mean, std = np.empty((2, len(cohort_scores)))
    step = max(1, BLOCK_SCORES // size)
    for start in range(0, len(cohort_scores), step):
        block = slice(start, start + step)
        mean[block], std[block] = _moments(_largest(cohort_scores[block], top_n))
    _refuse_no_spread(std)
    return mean, std


def cohort_statistics(
    side: Prepared, cohort: Prepared, top_n: int | None = None, desc: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``top_statistics`` of the scores of ``side`` (n rows) against ``cohort``.

    It works in blocks of rows, so beyond its input it needs only one block of scores, 40 MB. If
    ``desc`` is given, progress is shown with this text.
    """
    size = len(cohort.rows)
    top_n = size if top_n is None else min(top_n, size)
    if top_n < 2:
        raise InputError(f"a cohort of {size} and top_n {top_n}: at least 2 are needed")
    mean, std = np.empty((2, len(side.rows)))
    step = min(max(1, BLOCK_SCORES // size), len(side.rows))
    buffer = np.empty((step, size), dtype=np.float32)
    starts = range(0, len(side.rows), step)
    for start in starts if desc is None else progress(starts, desc=desc, unit="block"):
        block = slice(start, start + step)
        part = Prepared(*(None if x is None else x[block] for x in side))
        scores = score_matrix(part, cohort, out=buffer[: len(part.rows)])
        mean[block], std[block] = _moments(_largest(scores, top_n))
    _refuse_no_spread(std)
    return mean, std


def _largest(scores: np.ndarray, top_n: int) -> np.ndarray:
    """Return exactly the ``top_n`` largest of each row of (n, cohort), in any order.

    A sample of each row gives a threshold that a few more than ``top_n`` scores should reach, and
    only these scores are partitioned. If fewer reach it, the whole row is partitioned.

    This takes a quarter of the time of ``np.partition`` on whole rows (``python -m benchmarks.run
    scoring``), which would be half the time of the matrix product.
    """
    size = scores.shape[1]
    if top_n == size:
        return scores
    share = top_n / STRIDE
    rank = int(share + 4.0 * np.sqrt(share)) + 4  # too few reach it in one of 30,000 rows
    if 2 * rank * STRIDE > size:
        return np.partition(scores, size - top_n, axis=1)[:, size - top_n :]
    sample = scores[:, ::STRIDE]
    thresholds = np.partition(sample, sample.shape[1] - rank, axis=1)[:, -rank]
    largest = np.empty((len(scores), top_n), dtype=scores.dtype)
    for row, threshold, out in zip(scores, thresholds, largest, strict=True):
        candidates = row[~(row < threshold)]  # this keeps NaN, which must be detected
        if len(candidates) < top_n:
            candidates = row
        cut = len(candidates) - top_n
        out[:] = np.partition(candidates, cut)[cut:]
    return largest


def _moments(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each row, in float64 for precision."""
    mean = scores.mean(axis=1, dtype=np.float64)
    deviations = scores - mean[:, None]
    return mean, np.sqrt(np.einsum("ij,ij->i", deviations, deviations) / scores.shape[1])


def _refuse_no_spread(std: np.ndarray) -> None:
    bad = np.count_nonzero(~(np.isfinite(std) & (std > 0)))
    if bad:
        raise InputError(
            f"{bad} of {len(std)} utterances have equal scores against all of the cohort, or a "
            "score that is NaN: give a larger cohort of different utterances"
        )


def _standardise(scores: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.shape != mean.shape:
        raise InputError(
            f"scores of shape {scores.shape} for {len(mean)} rows of cohort scores; give one row "
            "per trial"
        )
    return (scores - mean) / std


def _half_sum(scores: np.ndarray, enrol: tuple, test: tuple) -> np.ndarray:
    return 0.5 * (_standardise(scores, *enrol) + _standardise(scores, *test))


class ScoreNorm:
    """Normalisation of the scores of a trial list by a cohort of embeddings.

    ``kind``: z, t, s or as. ``top_n``: for ``as`` only. Learned: ``cohort_``. There is nothing to
    save, because a cohort is a set of embeddings, which has its own file.
    """

    kinds: tuple[str, ...] = get_args(Kind)

    def __init__(self, kind: Kind = "as", top_n: int = 300):
        self.kind = kind
        self.top_n = top_n

    def fit(self, cohort: Prepared) -> "ScoreNorm":
        """Store the cohort, prepared by the back-end that made the scores."""
        if self.kind not in self.kinds:
            known = ", ".join(self.kinds)
            raise InputError(f"score normalisation {self.kind!r} is unknown: {known}")
        self.cohort_ = cohort
        return self

    def transform(self, scores: np.ndarray, sides: Sides) -> np.ndarray:
        """Return the normalised scores (trials,) float64 of ``scores`` (trials,)."""
        top_n = self.top_n if self.kind == "as" else None
        enrol = test = None
        if self.kind != "t":
            enrol = cohort_statistics(sides.enrol, self.cohort_, top_n, "cohort, enrolment side")
        if self.kind != "z":
            test = enrol
            if enrol is None or sides.enrol is not sides.test:
                test = cohort_statistics(sides.test, self.cohort_, top_n, "cohort, test side")
        parts = [
            _standardise(scores, *(x[rows] for x in statistics))
            for statistics, rows in ((enrol, sides.enrol_rows), (test, sides.test_rows))
            if statistics is not None
        ]
        return sum(parts) / len(parts)
