"""Means and paired tests over seeds and speakers, against loops and known cases."""

import numpy as np
import pytest

from sv.scoring.over_seeds import difference_over_seeds, holm, spread, widened


def draws(mean, seed, noise=0.01, count=500):
    return mean + noise * np.random.default_rng(seed).standard_normal(count)


def test_mean_and_deviation_of_seeds():
    found = spread([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2) and found.deviation == pytest.approx(0.1)
    assert found.count == 3 and np.isnan(spread([0.1]).deviation)


def test_widened_seeds_have_a_bootstrap_of_the_sample_variance():
    values = np.array([[1.0], [2.0], [6.0]])
    assert widened(values).var() == pytest.approx(values.var(ddof=1))
    assert widened(values).mean() == pytest.approx(3.0)
    assert widened(values[:1]) is not None and widened(values[:1])[0, 0] == 1.0


def test_speakers_that_are_hard_for_both_cancel():
    common = draws(0.2, 0, noise=0.05)
    base = {seed: common + draws(0.0, 10 + seed, 0.001) for seed in range(3)}
    worse = {seed: base[seed] + 0.01 for seed in range(3)}
    found = difference_over_seeds(worse, base)
    assert found.interval.low == pytest.approx(0.01) and found.p_value < 0.01


def test_a_difference_within_the_scatter_of_seeds_is_a_tie():
    common = draws(0.2, 0, noise=0.001)
    base = {0: common, 1: common + 0.03, 2: common - 0.03}
    other = {0: common + 0.04, 1: common, 2: common - 0.02}  # 0.01 worse on average
    low, high = difference_over_seeds(other, base).interval
    assert low < 0 < high
    # One of these seeds alone would have been called a difference.
    assert difference_over_seeds({0: other[0]}, {0: base[0]}).p_value < 0.01


def test_other_seeds_are_drawn_for_themselves():
    base = {0: draws(0.2, 0), 1: draws(0.21, 1)}
    other = {seed: draws(0.3, seed) for seed in (5, 6, 7)}
    low, high = difference_over_seeds(other, base).interval
    assert 0.05 < low < 0.095 < high < 0.15
    back = difference_over_seeds(base, other)
    assert back.interval.high < 0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    found = holm([float("nan"), 0.02])
    assert np.isnan(found[0]) and found[1] == 0.02
