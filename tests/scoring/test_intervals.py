"""Intervals by resampling speakers, against repeated trials and known truths."""

from pathlib import Path

import numpy as np
import pytest

from sv.data import speaker_groups
from sv.data.trials import Trials
from sv.errors import InputError
from sv.scoring import intervals as scoring_intervals
from sv.scoring import metrics
from sv.scoring.intervals import paired_difference


def make(speakers=12, each=4, count=400, seed=0):
    """A list over ``speakers`` with scores whose targets depend on the speaker."""
    generator = np.random.default_rng(seed)
    size = speakers * each
    enrol, test = generator.integers(0, size, (2, count)).astype(np.int32)
    labels = enrol % speakers == test % speakers
    labels[:2] = True, False
    enrol[:2], test[:2] = 0, (speakers, 1)
    trials = Trials(Path("trials"), [f"u{i}" for i in range(size)], enrol, test, labels)
    groups = speaker_groups.speaker_groups(
        trials, {f"u{i}": f"s{i % speakers}" for i in range(size)}
    )
    scores = generator.standard_normal(count) + 2 * labels
    return trials, groups, np.round(scores, 1)


def draw(generator, speakers):
    """All pairs of three utterances a speaker; each speaker is easy or hard on its own."""
    utterances = np.arange(speakers * 3)
    enrol, test = (x.ravel() for x in np.meshgrid(utterances, utterances))
    keep = enrol < test
    enrol, test = enrol[keep].astype(np.int32), test[keep].astype(np.int32)
    labels = enrol % speakers == test % speakers
    level = generator.standard_normal(speakers)
    scores = np.where(labels, 2.5 + level[enrol % speakers], 0) + generator.standard_normal(
        len(enrol)
    )
    return Trials(Path("t"), [f"u{i}" for i in utterances], enrol, test, labels), scores


def test_a_resample_is_the_list_with_its_trials_repeated():
    """Weighted curves must give what the ordinary figures give on the written-out list."""
    trials, groups, scores = make()
    resampled = scoring_intervals.resample(
        scores, trials, groups, (0.01, 0.5), resamples=25, seed=7
    )
    generator = np.random.default_rng(7)
    share = np.full(groups.count, 1 / groups.count)
    checked = 0
    for draw in range(25):
        counts = generator.multinomial(groups.count, share)
        left, right = groups.of_name[trials.enrol], groups.of_name[trials.test]
        times = np.where(left == right, counts[left], counts[left] * counts[right])
        repeated, labels = np.repeat(scores, times), np.repeat(trials.labels, times)
        if labels.all() or not labels.any():
            assert np.isnan(resampled.eer[draw])
            continue
        assert resampled.eer[draw] == pytest.approx(metrics.eer(repeated, labels), abs=1e-9)
        for p, costs in resampled.min_dcf.items():
            expected = metrics.min_dcf(repeated, labels, p)
            assert costs[draw] == pytest.approx(expected, abs=1e-9)
        checked += 1
    assert checked > 15


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    trials, groups, scores = make(count=3000)
    runs = [
        scoring_intervals.resample(scores, trials, groups, seed=s, resamples=50) for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0].eer, runs[1].eer)
    assert not np.array_equal(runs[0].eer, runs[2].eer)


def test_the_interval_holds_the_figure_and_narrows_with_more_speakers():
    widths = []
    for speakers in (10, 80):
        trials, scores = draw(np.random.default_rng(3), speakers)
        groups = speaker_groups.Groups(np.arange(3 * speakers) % speakers, speakers, "speakers")
        low, high = scoring_intervals.interval(
            scoring_intervals.resample(scores, trials, groups, resamples=200).eer
        )
        assert low < metrics.eer(scores, trials.labels) < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_speakers_give_a_wider_interval_than_single_utterances():
    """The reason for the whole module: a speaker's trials move together."""
    trials, groups, scores = make(speakers=15, each=20, count=8000, seed=4)
    easy = np.random.default_rng(0).standard_normal(15) * 1.5
    scores = scores + np.where(trials.labels, easy[groups.of_name[trials.enrol]], 0)
    single = speaker_groups.Groups(np.arange(300), 300, "utterances")
    widths = [
        np.diff(
            scoring_intervals.interval(
                scoring_intervals.resample(scores, trials, g, resamples=200).eer
            )
        )[0]
        for g in (groups, single)
    ]
    assert widths[0] > 1.5 * widths[1]


@pytest.mark.whole
def test_coverage_on_speakers_drawn_anew():
    """About 95 of 100 intervals hold the truth when each speaker has an accuracy of its own."""
    generator = np.random.default_rng(5)
    trials, scores = draw(generator, 400)
    truth = metrics.eer(scores, trials.labels)
    hits = 0
    for _ in range(40):
        trials, scores = draw(generator, 25)
        groups = speaker_groups.Groups(np.arange(75) % 25, 25, "speakers")
        low, high = scoring_intervals.interval(
            scoring_intervals.resample(scores, trials, groups, resamples=150).eer
        )
        hits += low <= truth <= high
    assert hits >= 33


def test_without_speakers_utterances_joined_by_targets_are_groups():
    enrol, test = np.array([0, 1, 3, 0]), np.array([1, 2, 4, 5])
    labels = np.array([True, True, True, False])
    trials = Trials(Path("t"), list("abcdef"), enrol, test, labels)
    groups = speaker_groups.linked_groups(trials)
    assert groups.count == 3
    assert len(set(groups.of_name[[0, 1, 2]])) == 1
    assert len(set(groups.of_name[[0, 3, 5]])) == 3
    assert "target trials" in groups.kind


def test_utterances_without_speaker_are_refused():
    trials, _, _ = make()
    with pytest.raises(InputError, match="47 of 48 utterances of trials have no speaker: u1"):
        speaker_groups.speaker_groups(trials, {"u0": "s0"})


def test_draws_without_a_class_do_not_spoil_the_interval():
    assert scoring_intervals.interval(np.array([0.1, np.nan, 0.3, 0.2])).low >= 0.1
    assert np.isnan(scoring_intervals.interval(np.array([np.nan, np.nan, 0.1])).low)


def list_with(targets, nontargets):
    """Trials of which the targets are of ``targets`` speakers, the others of ``nontargets``."""
    count = max(targets, nontargets)
    names = [f"u{i}" for i in range(2 * count)]
    enrol = [*range(targets), *range(nontargets)]
    test = [
        *(count + i for i in range(targets)),
        *((i + 1) % nontargets for i in range(nontargets)),
    ]
    labels = np.arange(len(enrol)) < targets
    trials = Trials(Path("t"), names, np.array(enrol), np.array(test), labels)
    return trials, speaker_groups.Groups(np.arange(2 * count) % count, count, "speakers")


@pytest.mark.parametrize(("targets", "nontargets", "known"), [(4, 40, 0), (40, 4, 0), (5, 5, 1)])
def test_few_speakers_give_no_interval(targets, nontargets, known):
    """Whichever class is of few: many speakers in the list alone do not make an error rate sure."""
    trials, groups = list_with(targets, nontargets)
    assert scoring_intervals.taking_part(trials, groups) == min(targets, nontargets)
    scores = np.random.default_rng(0).standard_normal(len(trials))
    for seed in range(3):
        found = scoring_intervals.resample(scores, trials, groups, resamples=40, seed=seed)
        for values in (found.eer, *found.min_dcf.values()):
            assert np.isfinite(scoring_intervals.interval(values).low) == known
        assert np.isfinite(paired_difference(found.eer, found.eer + 0.1).p_value) == known


def test_what_is_said_of_few_speakers():
    _, groups = list_with(12, 12)
    assert scoring_intervals.caution(10, groups) is None
    assert "no more than 5 speakers: intervals are too narrow" in scoring_intervals.caution(
        5, groups
    )
    assert "no more than 2 speakers: below 5 there is no interval" in scoring_intervals.caution(
        2, groups
    )
