"""Confidence intervals of error rates by resampling speakers.

The trials of a list are not independent: 37,611 trials of VoxCeleb1-O come from 40 speakers, and
one unusual speaker changes hundreds of trials together. So speakers are drawn with replacement. If
its speakers were drawn w_e and w_t times, a trial has the weight w_e w_t; if both sides are of one
speaker, drawn w times, it has the weight w (the "pigeonhole" bootstrap, Owen 2007, for pairs). If
trials were resampled instead, the intervals would be several times too narrow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sv.data.speaker_groups import Groups
from sv.data.trials import Trials
from sv.scoring.metrics import cheapest_target, cost_weights, sort_classes

RESAMPLES = 1000
LEVEL = 0.95
LEAST_SPEAKERS = 5
"""With fewer, there is no interval and no p-value: two speakers allow only three draws."""
FEW_SPEAKERS = 10
"""With fewer, intervals are known to be too narrow, and reports say so."""


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


class Resampled(NamedTuple):
    """The figures of each resample: ``eer`` (n,), ``min_dcf`` p_target -> (n,).

    A figure is NaN if the resample has no target or no non-target trial. All figures are NaN if
    there are fewer than ``LEAST_SPEAKERS`` groups.
    """

    eer: np.ndarray
    min_dcf: dict[float, np.ndarray]


def taking_part(trials: Trials, groups: Groups) -> int:
    """Return the number of groups in the target or in the non-target trials, whichever is smaller.

    For example, ninety speakers say nothing about misses if all target trials are of two speakers.
    """
    labels = trials.require_both_classes()
    sides = (groups.of_name[trials.enrol], groups.of_name[trials.test])
    return min(
        len(np.unique(np.concatenate([side[chosen] for side in sides])))
        for chosen in (labels, ~labels)
    )


def caution(count: int, groups: Groups) -> str | None:
    """Return a warning for figures of ``count`` groups (``taking_part``), or None if not needed."""
    if count >= FEW_SPEAKERS:
        return None
    of = f"The target or the non-target trials are of no more than {count} {groups.kind}"
    if count < LEAST_SPEAKERS:
        return (
            f"{of}: below {LEAST_SPEAKERS} there is no interval and no p-value, and any difference "
            "may be chance; test on more speakers."
        )
    return (
        f"{of}: intervals are too narrow and p-values too small below about {FEW_SPEAKERS}; test "
        "on more speakers."
    )


class _Class:
    """The trials of one class, sorted by score, ready to be weighted."""

    def __init__(self, scores: np.ndarray, enrol: np.ndarray, test: np.ndarray, groups: int):
        order = np.argsort(scores, kind="stable")
        self.scores = scores[order]
        # Weights are computed per pair of groups and looked up per trial; there are fewer pairs.
        pairs, self.pair = np.unique((enrol * groups + test)[order], return_inverse=True)
        self.enrol, self.test = np.divmod(pairs, groups)
        self.same = self.enrol == self.test

    def cumulate(self, counts: np.ndarray) -> np.ndarray:
        """Return (n + 1,): the weight of the trials below each position; the last is the total."""
        weights = counts[self.enrol] * np.where(self.same, 1.0, counts[self.test])
        below = np.empty(len(self.pair) + 1)
        below[0] = 0.0
        np.cumsum(weights[self.pair], out=below[1:])
        return below


def resample(
    scores: np.ndarray,
    trials: Trials,
    groups: Groups,
    p_targets: Sequence[float] = (0.01, 0.05),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Resampled:
    """Return EER and minDCF of ``resamples`` draws of the groups; ``scores``: (trials,).

    The same seed gives the same draws. So two systems on the same trials can be compared draw by
    draw, which is much sharper than comparing their intervals.
    """
    labels = trials.require_both_classes()
    sort_classes(scores, labels)  # only for its checks
    scores = np.asarray(scores)
    enrol, test = groups.of_name[trials.enrol], groups.of_name[trials.test]
    target = _Class(scores[labels], enrol[labels], test[labels], groups.count)
    nontarget = _Class(scores[~labels], enrol[~labels], test[~labels], groups.count)
    # The thresholds do not depend on the weights, so their ranks are computed once.
    thresholds = np.unique(scores)
    ranks = np.stack(
        [
            np.append(np.searchsorted(side.scores, thresholds), len(side.scores))
            for side in (target, nontarget)
        ]
    )
    crossings = np.searchsorted(nontarget.scores, target.scores)
    weights = [cost_weights(p) for p in p_targets]

    generator = np.random.default_rng(seed)
    eers = np.full(resamples, np.nan)
    costs = np.full((len(weights), resamples), np.nan)
    if taking_part(trials, groups) < LEAST_SPEAKERS:
        return Resampled(eers, dict(zip(p_targets, costs, strict=True)))
    share = np.full(groups.count, 1.0 / groups.count)
    for draw in range(resamples):
        counts = generator.multinomial(groups.count, share).astype(np.float64)
        rejected, refused = target.cumulate(counts), nontarget.cumulate(counts)
        if rejected[-1] == 0.0 or refused[-1] == 0.0:
            continue
        rejected /= rejected[-1]
        refused /= refused[-1]
        eers[draw] = _eer(ranks, rejected, refused)
        for row, (miss, false_alarm) in enumerate(weights):
            costs[row, draw], _ = cheapest_target(
                len(crossings),
                lambda rows, below=rejected: below[rows],
                lambda rows, below=refused: 1.0 - below[crossings[rows]],
                miss,
                false_alarm,
            )
    return Resampled(eers, dict(zip(p_targets, costs, strict=True)))


def _eer(ranks: np.ndarray, rejected: np.ndarray, refused: np.ndarray) -> float:
    """Return the crossing of P_miss and P_fa by bisection over the thresholds."""

    def gap(at: int) -> float:
        return rejected[ranks[0, at]] + refused[ranks[1, at]] - 1.0

    low, high = 0, ranks.shape[1] - 1  # gap(0) = -1 < 0 <= 1 = gap(last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if gap(middle) >= 0.0 else (middle, high)
    share = -gap(low) / (gap(high) - gap(low))
    before, after = 1.0 - refused[ranks[1, low]], 1.0 - refused[ranks[1, high]]
    return float(before + share * (after - before))


def interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the percentile interval of resampled figures; (NaN, NaN) if most draws failed."""
    values = values[np.isfinite(values)] if np.isfinite(values).mean() > 0.5 else values[:0]
    if not len(values):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high))


# ---------------------------------------------------------------- two systems on the same trials
# Both systems are resampled with the same draws of speakers (`resample` with one seed). Their
# figures are subtracted draw by draw, so speakers that are hard for both systems cancel.


class PairedDifference(NamedTuple):
    """``interval`` of the difference, and the two-sided ``p_value`` of "there is no difference"."""

    interval: Interval
    p_value: float


def paired_difference(values: np.ndarray, base: np.ndarray) -> PairedDifference:
    """Compare one figure of two systems: ``values`` and ``base`` (draws,), of the same draws.

    The p-value belongs to the bootstrap interval: it is the level at which the interval just
    touches 0. It equals twice the share of draws on the rarer side of 0 (ties count half), and is
    never below 2 / (draws + 1). Draws without a figure (NaN) are left out. If these are half of all
    draws or more, the results are NaN.
    """
    difference = values - base
    span = interval(difference)
    if not np.isfinite(span.low):
        return PairedDifference(span, float("nan"))
    difference = difference[np.isfinite(difference)]
    below = np.count_nonzero(difference < 0.0) + 0.5 * np.count_nonzero(difference == 0.0)
    least = min(below, len(difference) - below) + 1.0
    return PairedDifference(span, float(min(1.0, 2.0 * least / (len(difference) + 1.0))))


def paired_differences(system: Resampled, base: Resampled) -> dict[str | float, PairedDifference]:
    """Return "eer" and each p_target of minDCF -> ``system`` minus ``base``.

    If a difference is negative, ``system`` is better. If its interval contains 0, it is a tie.
    """
    result = {"eer": paired_difference(system.eer, base.eer)}
    for p, costs in system.min_dcf.items():
        result[p] = paired_difference(costs, base.min_dcf[p])
    return result
