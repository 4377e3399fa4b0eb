"""Is one system better than another on the same trials? A test over speakers.

Both systems are resampled with the same draws of speakers (``intervals.resample`` with one seed),
and the difference of their figures is looked at draw by draw: what is hard for both cancels.
"""

from typing import NamedTuple

import numpy as np

from sv.scoring.intervals import Interval, Resampled, interval


class PairedDifference(NamedTuple):
    """``interval`` of the difference, and a two-sided ``p_value`` for "there is none"."""

    interval: Interval
    p_value: float


def paired_difference(values: np.ndarray, base: np.ndarray) -> PairedDifference:
    """Compare one figure of two systems: ``values`` and ``base`` (draws,), of the same draws.

    The p-value is that of the bootstrap interval: the level at which it just touches 0, twice the
    share of draws on the other side of 0 (ties count half), never below 2 / (draws + 1). Draws
    without a figure (NaN) are left out; with half of them or more gone, all is NaN.
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

    Negative: ``system`` is better. An interval that holds 0 is a tie.
    """
    result = {"eer": paired_difference(system.eer, base.eer)}
    for p, costs in system.min_dcf.items():
        result[p] = paired_difference(costs, base.min_dcf[p])
    return result
