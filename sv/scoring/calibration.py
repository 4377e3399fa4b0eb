"""From scores to log-likelihood ratios by logistic regression on one score or several (fusion).

llr = w_1 s_1 + ... + w_k s_k + b, where the s are scores of systems and measures of quality
(``sv.scoring.fusion``). The weights minimise the prior-weighted cross-entropy

    p mean over targets of ln(1 + e^-(llr + logit p)) + (1-p) mean over non-targets of
    ln(1 + e^(llr + logit p))

(Bruemmer et al., "Fusion of heterogeneous speaker recognition systems", 2007). So the numbers of
targets and non-targets in the list have no effect, and trials near the Bayes threshold of p count
most.
"""

import numpy as np
from scipy.special import expit, logit

from sv.errors import InputError
from sv.scoring.backend import Backend

# It keeps the weights finite if the scores separate the classes perfectly. Otherwise it is too
# small to change the result, because the columns are standardised.
RIDGE = 1e-9
STEPS = 100


class Calibration(Backend):
    """Calibration and fusion by logistic regression.

    ``p_target``: the prior of a target at which the ratios should be best. Learned: ``weights_``
    (k,), ``intercept_``, ``names_`` (of the columns).
    """

    def __init__(self, p_target: float = 0.05):
        self.p_target = p_target

    def fit(
        self, columns: np.ndarray, labels: np.ndarray, names: list[str] | None = None
    ) -> "Calibration":
        """Learn from ``columns`` (trials, k) or (trials,) and ``labels`` (trials,), 1 = target.

        Raises ``InputError`` for columns that are not finite, and for labels of only one class.
        """
        columns, labels = _as_columns(columns), np.asarray(labels).astype(bool)
        if labels.shape != (len(columns),):
            raise InputError(
                f"{len(columns)} trials have {labels.size} labels; give one label per trial"
            )
        targets = int(np.count_nonzero(labels))
        if targets in (0, len(labels)):
            raise InputError(
                f"there are {targets} target and {len(labels) - targets} non-target trials; "
                "calibration needs both"
            )
        if not 0.0 < self.p_target < 1.0:
            raise InputError(f"--p-target {self.p_target}: a prior must be between 0 and 1")
        prior = np.where(labels, self.p_target, 1.0 - self.p_target)
        share = prior / np.where(labels, targets, len(labels) - targets)
        # Standardise the columns: Newton's method then needs the same few steps for any scale.
        mean = share @ columns
        std = np.sqrt(share @ (columns - mean) ** 2)
        std[std <= 1e-12 * np.abs(mean)] = np.inf  # a constant column says nothing: weight 0
        weights = _newton((columns - mean) / std, labels, share, logit(self.p_target))
        self.weights_ = weights[:-1] / std
        self.intercept_ = float(weights[-1] - self.weights_ @ mean)
        self.names_ = list(names or [f"column {n + 1}" for n in range(columns.shape[1])])
        self.remarks_ = self._remarks(self.transform(columns), labels)
        return self

    def _remarks(self, llr: np.ndarray, labels: np.ndarray) -> list[str]:
        if llr.min() == llr.max():
            return [
                "all trials get the same ratio: their scores are equal, or nearly equal relative "
                "to their size, so they carry no information; are the embeddings broken?"
            ]
        if llr[labels].min() > llr[~labels].max():
            return [
                "the scores separate these trials without an error, so they do not show how large "
                "a ratio should be: probabilities will be too near 0 and 1; learn from more "
                "trials, or from harder ones"
            ]
        return []

    @property
    def doubts(self) -> list[str]:
        """Sentences on reasons to doubt the ratios."""
        return self.negative + getattr(self, "remarks_", [])

    @property
    def negative(self) -> list[str]:
        """A sentence for each score with a negative weight; measures of quality are left out."""
        return [
            f"the weight of {name} is negative ({weight:.4f}): a higher score then counts as "
            "evidence for different speakers; are 1 and 0 exchanged in the trial list, or does "
            "this system add nothing?"
            for name, weight in zip(self.names_, self.weights_, strict=True)
            if weight < 0.0 and name.startswith(("score", "column"))
        ]

    def transform(self, columns: np.ndarray) -> np.ndarray:
        """Return log-likelihood ratios (trials,) float64 of ``columns`` (trials, k) or (trials,).

        The logarithm is natural. Accept a trial if llr >= ln[c_fa (1-p) / (c_miss p)].
        """
        columns = _as_columns(columns)
        if columns.shape[1] != len(self.weights_):
            raise InputError(
                f"the calibration was learned from {len(self.weights_)} columns "
                f"({', '.join(self.names_)}), but {columns.shape[1]} are given"
            )
        return columns @ self.weights_ + self.intercept_


def probability(llr: np.ndarray, p_target: float) -> np.ndarray:
    """Return the probability of "same speaker" given ``llr`` and the prior ``p_target``."""
    return expit(np.asarray(llr) + logit(p_target))


def _as_columns(columns: np.ndarray) -> np.ndarray:
    columns = np.asarray(columns, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    bad = np.count_nonzero(~np.isfinite(columns).all(axis=1))
    if bad:
        raise InputError(
            f"{bad} of {len(columns)} trials have a score or a quality that is infinite or NaN; "
            "look for broken embeddings"
        )
    return columns


def _newton(
    columns: np.ndarray, labels: np.ndarray, share: np.ndarray, offset: float
) -> np.ndarray:
    """Return the weights (k + 1,), intercept last, by Newton's method with step halving.

    ``share`` (trials,): the weight of each trial. ``offset``: added to every ratio.
    """
    design = np.column_stack([columns, np.ones(len(columns))])
    sign = np.where(labels, 1.0, -1.0)
    ridge = np.full(design.shape[1], RIDGE)
    ridge[-1] = 0.0

    def loss(weights: np.ndarray) -> float:
        margin = sign * (design @ weights + offset)
        return share @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ weights**2

    weights = np.zeros(design.shape[1])
    value = loss(weights)
    for _ in range(STEPS):
        p = expit(design @ weights + offset)
        gradient = design.T @ (share * (p - labels)) + ridge * weights
        hessian = (design * (share * p * (1.0 - p))[:, None]).T @ design + np.diag(ridge)
        hessian.flat[:: len(hessian) + 1] += 1e-12  # so that two equal columns are allowed
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := loss(weights - size * step)) > value and size > 1e-10:
            size *= 0.5
        if new > value:
            break
        weights, gain, value = weights - size * step, value - new, new
        if gain < 1e-13 * max(value, 1e-300):
            break
    return weights
