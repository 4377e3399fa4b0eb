"""The summary of a report in plain sentences: the figures, and the differences of systems."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sv.data.trials import Trials
from sv.scoring.evaluate import SystemResult, differences


class Check(NamedTuple):
    """The outcome of a check on a result. ``state``: "fine", "warning" or "unknown"."""

    what: str
    state: str
    text: str


def summary(results: Sequence[SystemResult], trials: Trials, speakers: int | None) -> list[str]:
    """Return one sentence per fact, the most important first.

    ``speakers``: number of speakers in the trials, or None if it is not known.
    """
    first = results[0]
    eer = 100 * first.eer.value
    targets = int(trials.labels.sum())
    of = f" of {speakers:,} speakers" if speakers is not None else ""
    sentences = [
        f"{first.name} has an equal error rate of {eer:.2f} %{_span(first.intervals.get('eer'))}, "
        f"measured on {len(trials):,} pairs of recordings{of}; in {targets:,} of them both are of "
        "the same speaker."
    ]
    if eer > 0:
        sentences.append(
            "That is: at the threshold that rejects as large a share of the true pairs as it "
            f"accepts of the false pairs, about one decision in {_one_in(first.eer.value)} is "
            "wrong."
        )
    else:
        sentences.append("That is: one threshold separates the two kinds of pairs without error.")
    return sentences + [_comparison(result, first) for result in results[1:]]


def _one_in(share: float) -> str:
    value = 1 / share
    return f"{value:.1f}".rstrip("0").rstrip(".") if value < 4 else f"{value:,.0f}"


def _span(span, unit: str = " %") -> str:
    if span is None or not np.isfinite(span.low):
        return ""
    return f" (95 % interval {100 * span.low:.2f} to {100 * span.high:.2f}{unit})"


def _comparison(result: SystemResult, first: SystemResult) -> str:
    """Return a sentence that compares a system with the first, and says if it may be chance."""
    gap = 100 * (result.eer.value - first.eer.value)
    more = "more" if gap >= 0 else "less"
    text = f"{result.name} has {100 * result.eer.value:.2f} %, {abs(gap):.2f} points {more}"
    found = differences(result, first).get("eer")
    if found is None or not np.isfinite(found.interval.low):
        return f"{text}; without an interval this may be chance."
    low, high = (100 * end for end in found.interval)
    text += f"; the interval of the difference is {low:.2f} to {high:.2f}"
    if low <= 0 <= high:
        return f"{text}: a tie, these trials cannot show which system is better."
    return (
        f"{text}: {'worse' if gap > 0 else 'better'}, by more than the choice of speakers explains."
    )
