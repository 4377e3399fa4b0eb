"""The paired test: hand-made draws, and systems on speakers drawn anew."""

from pathlib import Path

import numpy as np
import pytest

from sv.data import speaker_groups
from sv.data.trials import Trials
from sv.scoring import intervals as scoring_intervals
from sv.scoring import metrics
from sv.scoring.intervals import paired_difference, paired_differences


def test_by_hand():
    base = np.zeros(99)
    worse = paired_difference(np.full(99, 0.1), base)
    assert worse.interval == pytest.approx((0.1, 0.1)) and worse.p_value == pytest.approx(0.02)
    tie = paired_difference(base, base)
    assert tie.interval == (0.0, 0.0) and tie.p_value == 1.0
    values = np.where(np.arange(99) < 9, -0.1, 0.1)  # 9 of 99 draws on the other side
    assert paired_difference(values, base).p_value == pytest.approx(0.2)
    assert paired_difference(-values, base).p_value == pytest.approx(0.2)


def test_draws_without_figures():
    values = np.array([0.1, np.nan, 0.2, 0.3])
    assert paired_difference(values, np.zeros(4)).p_value == pytest.approx(0.5)  # 2 / (3 + 1)
    lost = paired_difference(np.array([0.1, np.nan, np.nan]), np.zeros(3))
    assert np.isnan(lost.p_value) and np.isnan(lost.interval.low)


def list_of(speakers, each=3):
    utterances = np.arange(speakers * each)
    enrol, test = (x.ravel() for x in np.meshgrid(utterances, utterances))
    keep = enrol < test
    enrol, test = enrol[keep].astype(np.int32), test[keep].astype(np.int32)
    labels = enrol % speakers == test % speakers
    trials = Trials(Path("t"), [f"u{i}" for i in utterances], enrol, test, labels)
    return trials, speaker_groups.Groups(utterances % speakers, speakers, "speakers")


def two_systems(generator, trials, groups, gain):
    """Scores that share what is hard about each speaker; the second separates better by gain."""
    level = 1.2 * generator.standard_normal(groups.count)[groups.of_name[trials.enrol]]
    shared = generator.standard_normal(len(trials)) + np.where(trials.labels, 2.5 + level, 0.0)
    own = [0.3 * generator.standard_normal(len(trials)) for _ in range(2)]
    return shared + own[0], shared + own[1] + gain * trials.labels


def compare(seed, gain, resamples=120, speakers=20):
    generator = np.random.default_rng(seed)
    trials, groups = list_of(speakers)
    drawn = [
        scoring_intervals.resample(scores, trials, groups, (0.05,), resamples)
        for scores in two_systems(generator, trials, groups, gain)
    ]
    return paired_differences(drawn[1], drawn[0]), drawn


def test_equal_systems_are_seldom_told_apart():
    """At a level of 5 %, about 1 of 20 comparisons of equal systems; more than 5 would be odd."""
    p_values = [compare(seed, gain=0.0)[0]["eer"].p_value for seed in range(25)]
    assert sum(p < 0.05 for p in p_values) <= 5
    assert np.median(p_values) > 0.2


def test_a_gain_is_seen_that_separate_intervals_hide():
    result, drawn = compare(seed=0, gain=0.6, resamples=300, speakers=60)
    assert result["eer"].p_value < 0.02 and result["eer"].interval.high < 0
    assert result[0.05].interval.high < 0
    separate = [scoring_intervals.interval(each.eer) for each in drawn]
    assert separate[1].high > separate[0].low  # they overlap


def test_trials_resampled_instead_would_be_too_sure():
    """Why speakers: two noisy copies of one system differ by chance of a few speakers."""
    generator = np.random.default_rng(1)
    trials, groups = list_of(12, each=8)
    scores = generator.standard_normal(len(trials)) + 2.5 * trials.labels
    unlike = 1.5 * generator.standard_normal(12)[groups.of_name[trials.enrol]] * trials.labels
    speakers = [
        scoring_intervals.resample(s, trials, groups, (0.05,), 150)
        for s in (scores, scores + unlike)
    ]
    width = np.diff(paired_differences(speakers[1], speakers[0])["eer"].interval)[0]
    differences = []
    for _ in range(60):
        rows = generator.integers(0, len(trials), len(trials))
        both = [metrics.eer(s[rows], trials.labels[rows]) for s in (scores, scores + unlike)]
        differences.append(both[1] - both[0])
    assert width > 1.5 * np.diff(np.quantile(differences, [0.025, 0.975]))[0]
