"""Doubtful trial lists are named: against true speakers, and against themselves."""

import pytest

from sv.data.trial_checks import doubts
from sv.data.trials import Trials, refuse_contradictions
from sv.errors import InputError

SPEAKERS = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c"}
GOOD = [(1, "a1", "a2"), (0, "a1", "b1"), (1, "b1", "b2"), (0, "a2", "c1")]


def said(rows, speakers=SPEAKERS):
    return doubts(Trials.of("trials", rows), speakers)


def test_a_good_list_is_not_doubted():
    assert said(GOOD) == [] and said(GOOD, None) == []


def test_trials_that_contradict_the_speakers_are_counted_with_an_example():
    found = said([*GOOD, (1, "a3", "b2"), (1, "a1", "c1"), (0, "a2", "a3")])
    assert len(found) == 2
    assert found[0].startswith("2 of 7 trials contradict the speakers: these target trials are of")
    assert "two speakers (first: 1 a3 b2, speakers a and b)" in found[0]
    assert found[1].startswith("1 of 7 trials") and "first: 0 a2 a3, speakers a and a" in found[1]


def test_an_inverted_list_is_recognised():
    found = said([(1 - label, *pair) for label, *pair in GOOD])
    assert len(found) == 3 and "as if 1 and 0 were exchanged" in found[-1]


def test_self_trials_are_named_without_and_with_speakers():
    rows = [*GOOD, (1, "a1", "a1"), (1, "c1", "c1")]
    for speakers in (SPEAKERS, None):
        (found,) = said(rows, speakers)
        assert found.startswith("2 of 6 trials compare a recording with itself (first: 1 a1 a1)")
    assert any("non-target trials are of one speaker" in text for text in said([(0, "a1", "a1")]))


def test_utterances_without_a_speaker_are_passed_over():
    assert said([*GOOD, (1, "a1", "x"), (0, "x", "x2")]) == []


def test_without_speakers_target_trials_tell_who_is_one():
    rows = [(1, "x", "y"), (1, "y", "z"), (0, "z", "x"), (0, "x", "q")]
    (found,) = said(rows, None)
    assert found.startswith("1 of 4 trials contradict others") and "first: 0 z x" in found
    assert said(rows[:2], None) == []


def test_a_pair_with_both_labels_is_refused_in_either_order():
    for pair in (("a1", "a2"), ("a2", "a1")):
        with pytest.raises(InputError, match="1 pairs are listed both .*first a1 a2"):
            refuse_contradictions(Trials.of("trials", [*GOOD, (0, *pair)]))
    refuse_contradictions(Trials.of("trials", [*GOOD, (1, "a2", "a1")]))


def test_rows_come_back():
    assert Trials.of("trials", GOOD).rows() == GOOD
