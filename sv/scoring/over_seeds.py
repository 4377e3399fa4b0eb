"""One setting, several seeds: mean and deviation, and a paired test over seeds and speakers.

Two trainings that differ only in their seed differ by chance, and so do two draws of test speakers.
A difference between settings is real only if it is larger than both. So the test resamples both:
each draw takes the same speakers for all runs (`intervals.resample` with one seed of draws), and
takes n of the n seeds with replacement.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sv.scoring.intervals import PairedDifference, paired_difference

PICKS = 20261
"""Seed of the draws of training seeds."""


class Spread(NamedTuple):
    """``mean`` and sample ``deviation`` (dividing by n - 1; NaN for one run) of ``count`` runs."""

    mean: float
    deviation: float
    count: int


def spread(values: list[float]) -> Spread:
    """Return mean and deviation of one figure over the runs of a setting; not empty."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Spread(float(np.mean(values)), deviation, len(values))


def widened(draws: np.ndarray) -> np.ndarray:
    """Return (seeds, draws) with the distances from their mean times sqrt(n / (n - 1)).

    A bootstrap of n values has (n - 1) / n of their sample variance, which is a third too little
    for three seeds (Hesterberg 2015, "What teachers should know about the bootstrap", on its
    narrowness). This factor corrects it.
    """
    count = len(draws)
    if count < 2:
        return draws
    mean = draws.mean(axis=0)
    return mean + np.sqrt(count / (count - 1)) * (draws - mean)


def difference_over_seeds(
    runs: Mapping[int, np.ndarray], base: Mapping[int, np.ndarray]
) -> PairedDifference:
    """Return the mean figure of ``runs`` minus that of ``base``, resampled over seeds and speakers.

    Parameters
    ----------
    runs, base: seed → (draws,) the figure in each draw of speakers; the draws are those of both.
        If both have the same seeds, each seed is compared with itself, because equal seeds share
        the order of the crops. Otherwise the seeds of each side are drawn for themselves.

    If there is one seed, only speakers are resampled, and the result says nothing of other seeds.
    """
    generator = np.random.default_rng(PICKS)
    paired = runs.keys() == base.keys()
    ours, theirs = (np.stack([side[seed] for seed in sorted(side)]) for side in (runs, base))
    draws = ours.shape[1]
    if paired:
        values = _mean_of_picks(widened(ours - theirs), generator, draws)
        return paired_difference(values, np.zeros(draws))
    values = _mean_of_picks(widened(ours), generator, draws)
    return paired_difference(values, _mean_of_picks(widened(theirs), generator, draws))


def _mean_of_picks(figures: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    """Return (draws,): in each draw the mean over n of the n rows, taken with replacement."""
    picks = generator.integers(len(figures), size=figures.shape)
    return figures[picks, np.arange(draws)].mean(axis=0)


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979); NaN stays NaN and does not count.

    The smallest is multiplied by the number of tests, the next by one less, and so on. So the
    chance that any of several equal settings seems different stays below the level.
    """
    result = [float("nan")] * len(p_values)
    known = sorted((p, place) for place, p in enumerate(p_values) if np.isfinite(p))
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        result[place] = largest
    return result
