"""Error rates of a speaker-verification system from its scores.

Everywhere in this module a trial is accepted if its score is at or above the threshold. P_miss is
the share of target trials that are rejected; P_fa is the share of non-target trials that are
accepted. Equal scores share one threshold, so the order of tied trials never matters. Labels are 1
(True) for target and 0 for non-target.

Each class is sorted once, and the thresholds of one class are looked up in the other. So the time
is about that of two sorts, and no array has more than one entry for each trial.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from sv.errors import InputError

Rates = Callable[[np.ndarray], np.ndarray]


class Classes(NamedTuple):
    """The scores of each class, ascending, without NaN: ``target`` (T,), ``nontarget`` (N,)."""

    target: np.ndarray
    nontarget: np.ndarray


class OperatingPoint(NamedTuple):
    """A figure, its threshold, and the two error rates at this threshold."""

    value: float
    threshold: float
    p_miss: float
    p_fa: float


class DetCurve(NamedTuple):
    """One point for each distinct score, ascending, then "reject everything" at threshold +inf."""

    thresholds: np.ndarray
    p_miss: np.ndarray
    p_fa: np.ndarray


def sort_classes(scores: np.ndarray, labels: np.ndarray) -> Classes:
    """Split ``scores`` (trials,) by ``labels`` (trials,) and sort each class.

    Raises ``InputError`` for arrays of different lengths, labels other than 0 and 1, a class
    without trials, and NaN scores. float32 is kept, because it needs half the memory and sorts
    faster.
    """
    scores, is_target = np.asarray(scores), _as_mask(labels)
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)
    if scores.ndim != 1 or scores.shape != is_target.shape:
        raise InputError(
            f"scores of shape {scores.shape} and labels of shape {is_target.shape} do not fit; "
            "give one score and one label per trial"
        )
    target, nontarget = scores[is_target], scores[~is_target]
    if not len(target) or not len(nontarget):
        raise InputError(
            f"there are {len(target)} target and {len(nontarget)} non-target trials; error rates "
            "need both; check the labels of the trial list"
        )
    target.sort()
    nontarget.sort()
    # A sort puts NaN last, so checking the last score is enough.
    if np.isnan(target[-1]) or np.isnan(nontarget[-1]):
        raise InputError(
            f"{np.count_nonzero(np.isnan(scores))} of {len(scores)} scores are NaN; look for "
            "broken embeddings (silent or empty audio, a training run that diverged)"
        )
    return Classes(target, nontarget)


def _as_mask(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype == bool:
        return labels
    mask = labels == 1
    if not np.all(mask | (labels == 0)):
        raise InputError("labels must be 1 (target) or 0 (non-target); convert them first")
    return mask


def eer(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the equal error rate in [0, 1], where the DET curve crosses P_miss = P_fa.

    The curve is linear between the points of ``det_curve``. The crossing is interpolated, so the
    value does not jump between neighbouring thresholds.
    """
    return eer_point(sort_classes(scores, labels)).value


def eer_point(classes: Classes) -> OperatingPoint:
    """Return the point of ``eer``, with its threshold, by bisection of P_miss - P_fa."""
    target, nontarget = classes

    def rates(threshold: float) -> tuple[float, float]:
        return (
            np.searchsorted(target, threshold) / len(target),
            (len(nontarget) - np.searchsorted(nontarget, threshold)) / len(nontarget),
        )

    # The smallest score, of either class, at which P_miss >= P_fa; None is "reject everything".
    upper = None
    for ordered in classes:
        low, high = 0, len(ordered)
        while low < high:
            middle = (low + high) // 2
            miss, false_alarm = rates(ordered[middle])
            low, high = (low, middle) if miss >= false_alarm else (middle + 1, high)
        if low < len(ordered):
            upper = ordered[low] if upper is None else min(upper, ordered[low])
    # The next smaller score has P_miss < P_fa. It exists, because at the smallest score of all,
    # P_miss = 0 and P_fa = 1.
    ends = [len(x) if upper is None else np.searchsorted(x, upper) for x in classes]
    lower = max(x[end - 1] for x, end in zip(classes, ends, strict=True) if end)
    before, after = rates(lower), (1.0, 0.0) if upper is None else rates(upper)
    gap_before, gap_after = before[1] - before[0], after[0] - after[1]
    share = float(gap_before / (gap_before + gap_after))
    value = float(before[1] + share * (after[1] - before[1]))
    ends = float(lower), float(np.inf if upper is None else upper)
    threshold = ends[0] + share * (ends[1] - ends[0]) if np.isfinite(ends).all() else np.nan
    if not np.isfinite(threshold):  # no finite number lies between the two ends
        threshold = ends[share >= 0.5 and upper is not None]
    return OperatingPoint(value, float(threshold), value, value)


def min_dcf(
    scores: np.ndarray,
    labels: np.ndarray,
    p_target: float,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> float:
    """Return the smallest normalised detection cost over all thresholds.

    min_t [c_miss p P_miss(t) + c_fa (1-p) P_fa(t)] / min(c_miss p, c_fa (1-p)), with p =
    ``p_target``, the prior of a target trial. Accepting or rejecting everything costs 1 or more.
    """
    return min_dcf_point(sort_classes(scores, labels), p_target, c_miss, c_fa).value


def min_dcf_point(
    classes: Classes, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0
) -> OperatingPoint:
    """Return the point of ``min_dcf``: its threshold and error rates."""
    weight_miss, weight_fa = cost_weights(p_target, c_miss, c_fa)
    target, nontarget = classes

    def p_fa(rows: np.ndarray) -> np.ndarray:
        return (len(nontarget) - np.searchsorted(nontarget, target[rows])) / len(nontarget)

    cost, row = cheapest_target(
        len(target), lambda rows: rows / len(target), p_fa, weight_miss, weight_fa
    )
    if row < 0:
        return OperatingPoint(cost, np.inf, 1.0, 0.0)
    return OperatingPoint(cost, float(target[row]), row / len(target), float(p_fa(row)))


def cheapest_target(
    count: int, p_miss: Rates, p_fa: Rates, weight_miss: float, weight_fa: float
) -> tuple[float, int]:
    """Return the smallest cost, and the row of the target whose score is its threshold.

    ``p_miss`` and ``p_fa`` map rows of targets, sorted by score, to the error rates at their
    scores. Row -1 means "reject everything", at the cost ``weight_miss``.

    Only target scores can be the best threshold: if a threshold rises to the next target score, no
    more targets are rejected, but some non-targets may be. Among tied targets, the first has the
    right P_miss; the others have a larger one, which cannot win. Every step-th target is tried
    first. Between two of these, the cost is at least P_miss of the left one with P_fa of the right
    one. This rules out nearly all other targets.
    """

    def cost(rows: np.ndarray) -> np.ndarray:
        return weight_miss * p_miss(rows) + weight_fa * p_fa(rows)

    step = max(1, int(np.sqrt(count)))
    coarse = np.arange(0, count, step)
    floor = weight_miss * p_miss(coarse) + weight_fa * np.append(p_fa(coarse[1:]), 0.0)
    promising = coarse[floor <= min(cost(coarse).min(), weight_miss)]
    rows = (promising[:, None] + np.arange(step)).ravel()
    rows = rows[rows < count]
    costs = cost(rows)
    best = int(np.argmin(costs)) if len(rows) else -1
    if best < 0 or costs[best] >= weight_miss:
        return weight_miss, -1
    return float(costs[best]), int(rows[best])


def cost_weights(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> tuple[float, float]:
    """Return the weights of P_miss and P_fa in the normalised detection cost."""
    if not (0.0 < p_target < 1.0 and 0.0 < c_miss < np.inf and 0.0 < c_fa < np.inf):
        raise InputError(
            f"p_target {p_target}, c_miss {c_miss}, c_fa {c_fa}: the prior must lie between 0 and "
            "1 (0.01 and 0.05 are usual), and the costs must be above 0"
        )
    miss, false_alarm = c_miss * p_target, c_fa * (1.0 - p_target)
    return miss / min(miss, false_alarm), false_alarm / min(miss, false_alarm)


def act_dcf(
    llr: np.ndarray,
    labels: np.ndarray,
    p_target: float,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> float:
    """Return the normalised detection cost at the Bayes threshold, not at the best threshold.

    ``llr``: calibrated log-likelihood ratios (natural logarithm). The threshold is
    ln[c_fa (1-p) / (c_miss p)]. ``act_dcf`` minus ``min_dcf`` is the cost of poor calibration.
    """
    weight_miss, weight_fa = cost_weights(p_target, c_miss, c_fa)
    target, nontarget = sort_classes(llr, labels)
    threshold = np.log(weight_fa / weight_miss).astype(target.dtype)
    p_miss = np.searchsorted(target, threshold) / len(target)
    p_fa = (len(nontarget) - np.searchsorted(nontarget, threshold)) / len(nontarget)
    return float(weight_miss * p_miss + weight_fa * p_fa)


def cllr(llr: np.ndarray, labels: np.ndarray) -> float:
    """Return the log-likelihood-ratio cost in bits (Bruemmer and du Preez, 2006).

    (1/2) [mean over targets of log2(1 + e^-llr) + mean over non-targets of log2(1 + e^llr)].
    A perfect system has 0; a system that always says "no evidence" (llr = 0) has 1.
    """
    target, nontarget = sort_classes(llr, labels)
    miss = np.logaddexp(0.0, -target.astype(np.float64)).mean()
    false_alarm = np.logaddexp(0.0, nontarget.astype(np.float64)).mean()
    return float((miss + false_alarm) / (2.0 * np.log(2.0)))


def min_cllr(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the smallest ``cllr`` in bits that any increasing map of the scores can give.

    Pool adjacent violators (PAV; Bruemmer and du Preez, 2006) finds the map on the distinct
    scores: tied trials share one log-likelihood ratio. ``cllr`` minus ``min_cllr`` is the loss by
    calibration. The value is 0 for perfect separation, and 1 for scores without information.
    """
    target, nontarget = sort_classes(scores, labels)
    thresholds = np.unique(np.concatenate([target, nontarget]))
    targets = np.diff(np.searchsorted(target, thresholds), append=len(target))
    nontargets = np.diff(np.searchsorted(nontarget, thresholds), append=len(nontarget))
    counts = (targets + nontargets).astype(np.float64)
    pools = isotonic_regression(targets / counts, weights=counts).blocks
    targets = np.add.reduceat(targets, pools[:-1]) / len(target)
    nontargets = np.add.reduceat(nontargets, pools[:-1]) / len(nontarget)
    # The ratio of a pool is targets / nontargets. A pool with only one class costs nothing.
    both = (targets > 0) & (nontargets > 0)
    targets, nontargets = targets[both], nontargets[both]
    bits = targets * np.log2(1.0 + nontargets / targets)
    bits += nontargets * np.log2(1.0 + targets / nontargets)
    return float(bits.sum() / 2.0)


def det_curve(scores: np.ndarray, labels: np.ndarray) -> DetCurve:
    """Return P_miss and P_fa at every distinct score and at +inf ("reject everything")."""
    return det_points(sort_classes(scores, labels))


def det_points(classes: Classes) -> DetCurve:
    """Return ``det_curve`` from sorted classes."""
    target, nontarget = classes
    thresholds = np.unique(np.concatenate(classes))
    p_miss = np.searchsorted(target, thresholds) / len(target)
    p_fa = (len(nontarget) - np.searchsorted(nontarget, thresholds)) / len(nontarget)
    return DetCurve(
        np.append(thresholds, np.inf).astype(np.float64), np.append(p_miss, 1.0), np.append(p_fa, 0)
    )
