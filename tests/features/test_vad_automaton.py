"""The automaton of the smoother, and its best paths against a search over all sequences."""

import itertools

import numpy as np
import pytest

from sv.errors import InputError
from sv.features.vad_automaton import (
    END,
    SILENCE,
    SPEECH,
    best_labels,
    choose_decoder,
    speech_automaton,
    states_of,
)


def draw(rows, frames, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (rows, frames, 2)).astype(np.float32)


def allowed(labels, silence, speech):
    """Say whether all stretches but the first and the last are long enough."""
    runs = [(label, len(list(group))) for label, group in itertools.groupby(labels)]
    return all(count >= (silence, speech)[label] for label, count in runs[1:-1])


def total(labels, scores, silence_cost, speech_cost):
    score = sum(float(scores[frame, label]) for frame, label in enumerate(labels))
    for before, after in itertools.pairwise(labels):
        if before != after:
            score -= speech_cost if after == SPEECH else silence_cost
    return score


@pytest.mark.parametrize(("silence", "speech"), [(1, 1), (3, 2), (2, 4)])
def test_the_path_is_the_best_of_all_that_are_allowed(silence, speech):
    automaton = speech_automaton(silence, speech, 0.5, 1.25)
    scores = draw(6, 10, seed=silence)
    found = best_labels(automaton, scores, np.full(6, 10))
    for row, path in zip(scores, found, strict=True):
        every = [p for p in itertools.product((0, 1), repeat=10) if allowed(p, silence, speech)]
        assert tuple(path) == max(every, key=lambda p: total(p, row, 0.5, 1.25))


def test_rows_of_different_lengths_are_decoded_as_if_alone():
    automaton = speech_automaton(7, 5, 1.0, 2.0)
    scores, lengths = draw(5, 200), np.array([200, 1, 77, 12, 150])
    together = best_labels(automaton, scores, lengths)
    for row, length, path in zip(scores, lengths, together, strict=True):
        alone = best_labels(automaton, row[None, :length], np.array([length]))[0]
        assert np.array_equal(path, alone) and allowed(path, 7, 5)


def test_arcs_are_plain_and_sorted_by_source():
    automaton = speech_automaton(3, 2, 0.5, 1.5)
    assert [arc.source for arc in automaton.arcs] == sorted(arc.source for arc in automaton.arcs)
    assert speech_automaton(3, 2, 0.5, 1.5) is automaton  # built once
    ends = {arc.target for arc in automaton.arcs if arc.label == END}
    assert ends == {automaton.states - 1} and automaton.states == 7
    entries = [arc for arc in automaton.arcs if arc.score]
    assert [(arc.label, arc.score) for arc in entries] == [(SPEECH, -1.5), (SILENCE, -0.5)]


def test_states_follow_from_labels():
    automaton = speech_automaton(3, 2)
    assert states_of(automaton, [0, 1, 1, 1, 0, 0, 0, 0]).tolist() == [3, 4, 5, 5, 1, 2, 3, 3]
    assert states_of(automaton, [1, 1]).tolist() == [5, 5]
    assert states_of(automaton, []).tolist() == []


def test_wrong_input_is_named():
    automaton = speech_automaton(3, 2)
    with pytest.raises(InputError, match="must be .rows, frames, 2."):
        best_labels(automaton, np.zeros((2, 5)), np.array([5, 5]))
    with pytest.raises(InputError, match="lengths must be from 1 to 5"):
        best_labels(automaton, np.zeros((1, 5, 2)), np.array([6]))
    with pytest.raises(InputError, match="must be finite"):
        best_labels(automaton, np.full((1, 5, 2), np.nan), np.array([5]))
    with pytest.raises(InputError, match="shortest silence in frames: 0 is not"):
        speech_automaton(0, 2)
    with pytest.raises(InputError, match="decoder 'sox' is none of auto, k2, viterbi"):
        choose_decoder("sox")
    assert choose_decoder("viterbi") is best_labels
