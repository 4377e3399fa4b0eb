"""The smoother of VAD: the best path of frame scores through an automaton with minimum durations.

The automaton has a chain of states for silence and one for speech. Each state of a chain needs one
frame, and the last state of a chain repeats, so a stretch lasts at least as many frames as its
chain is long. Entering speech, or silence, has a cost. A recording may begin and end inside a
stretch: there the minimum does not hold.

The automaton is plain numbers. ``best_labels`` finds the best path with numpy; ``vad_k2.py`` finds
the same path with k2, from the same arcs.
"""

import importlib.util
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sv.errors import InputError
from sv.numbers import Number, whole

SILENCE, SPEECH, END = 0, 1, -1
"""Labels of arcs; ``END`` leads to the final state, as in k2."""
DECODERS = ("auto", "k2", "viterbi")
FRAMES = whole(1, 10_000)
COST = Number(0, 1e6)


class Arc(NamedTuple):
    """An arc of the automaton. ``score`` is added to the score of its label at the frame."""

    source: int
    target: int
    label: int
    score: float


class Automaton(NamedTuple):
    """Arcs sorted by their source, then by their target; state 0 begins, the last state ends.

    ``silence``, ``speech``: the states of the two chains, in the order in which they are passed.
    """

    arcs: tuple[Arc, ...]
    silence: range
    speech: range

    @property
    def states(self) -> int:
        """Number of states, with the first and the final one."""
        return self.speech.stop + 1


@lru_cache(maxsize=32)
def speech_automaton(
    min_silence: int = 30, min_speech: int = 20, silence_cost: float = 0.0, speech_cost: float = 0.0
) -> Automaton:
    """Build the automaton.

    Args:
        min_silence: fewest frames of a silence between two stretches of speech.
        min_speech: fewest frames of a stretch of speech between two silences.
        silence_cost: subtracted from the score whenever a silence begins.
        speech_cost: subtracted from the score whenever speech begins.

    Raises:
        InputError: a minimum is not a whole number from 1 on, or a cost is negative.
    """
    FRAMES.check(min_silence, "the shortest silence in frames")
    FRAMES.check(min_speech, "the shortest speech in frames")
    COST.check(silence_cost, "the cost of entering silence")
    COST.check(speech_cost, "the cost of entering speech")
    silence = range(1, 1 + min_silence)
    speech = range(silence.stop, silence.stop + min_speech)
    final = speech.stop
    arcs = [Arc(0, silence[-1], SILENCE, 0.0), Arc(0, speech[-1], SPEECH, 0.0)]
    chains = ((silence, SILENCE, speech, SPEECH, speech_cost),)
    chains += ((speech, SPEECH, silence, SILENCE, silence_cost),)
    for chain, label, other, entered, cost in chains:
        for state, following in zip(chain, [*chain[1:], chain[-1]], strict=True):
            arcs.append(Arc(state, following, label, 0.0))
            arcs.append(Arc(state, final, END, 0.0))
        arcs.append(Arc(chain[-1], other[0], entered, -float(cost)))
    return Automaton(tuple(sorted(arcs)), silence, speech)


@lru_cache(maxsize=32)
def _by_target(automaton: Automaton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return source, label and score (states, most arcs into a state) of the arcs into each state.

    What is missing has the score −∞. The final state is left out: each state leads to it with the
    score 0.
    """
    into: list[list[Arc]] = [[] for _ in range(automaton.states - 1)]
    for arc in automaton.arcs:
        if arc.label != END:
            into[arc.target].append(arc)
    shape = (len(into), max(map(len, into)))
    source, label = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.intp)
    score = np.full(shape, -np.inf, dtype=np.float32)
    for state, arcs in enumerate(into):
        for place, arc in enumerate(arcs):
            source[state, place], label[state, place], score[state, place] = (
                arc.source,
                arc.label,
                arc.score,
            )
    return source, label, score


def best_labels(automaton: Automaton, scores: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return the labels of the best path of each row: int64 (its length,), SILENCE or SPEECH.

    A step is vectorised over rows and states. The score of a step is added in float32, scores of
    paths in float64, as k2 does.

    Args:
        automaton: see ``speech_automaton``.
        scores: (rows, frames, 2) float32, the scores of silence and of speech in each frame.
        lengths: (rows,) frames of each row that count, 1 or more.

    Raises:
        InputError: the shapes do not fit, or scores are not finite.
    """
    scores, lengths = check_scores(scores, lengths)
    source, label, weight = _by_target(automaton)
    rows, frames = scores.shape[:2]
    best = np.full((rows, automaton.states - 1), -np.inf)
    best[:, 0] = 0.0
    came = np.empty((frames, rows, automaton.states - 1), dtype=np.uint8)
    last = np.empty_like(best)
    for frame in range(frames):
        step = scores[:, frame, label] + weight  # float32
        candidates = best[:, source] + step
        choice = candidates.argmax(axis=2)
        came[frame] = choice
        best = np.take_along_axis(candidates, choice[:, :, None], axis=2)[:, :, 0]
        last[lengths == frame + 1] = best[lengths == frame + 1]
    state = last.argmax(axis=1)
    found = np.zeros((rows, frames), dtype=np.int64)
    everyone = np.arange(rows)
    for frame in range(frames - 1, -1, -1):
        inside = frame < lengths
        choice = came[frame, everyone, state]
        found[:, frame] = label[state, choice]
        state = np.where(inside, source[state, choice], state)
    return [row[:length] for row, length in zip(found, lengths, strict=True)]


def check_scores(scores: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float32 (rows, frames, 2) and lengths as int64 (rows,).

    Raises:
        InputError: the shapes do not fit, or scores are not finite.
    """
    scores, lengths = np.asarray(scores, dtype=np.float32), np.asarray(lengths, dtype=np.int64)
    if scores.ndim != 3 or scores.shape[2] != 2 or lengths.shape != scores.shape[:1]:
        raise InputError(
            f"scores must be (rows, frames, 2) and lengths (rows,), not {scores.shape} and "
            f"{lengths.shape}"
        )
    if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= scores.shape[1]):
        raise InputError(f"lengths must be from 1 to {scores.shape[1]}")
    if not np.isfinite(scores).all():
        raise InputError("scores of frames must be finite")
    return scores, lengths


def states_of(automaton: Automaton, labels: np.ndarray) -> np.ndarray:
    """Return the states (frames,) that a path with ``labels`` (frames,) passes.

    The automaton has one path for each sequence of labels that it allows.
    """
    labels = np.asarray(labels)
    places = np.arange(len(labels))
    begins = np.r_[True, labels[1:] != labels[:-1]] if len(labels) else np.zeros(0, dtype=bool)
    since = places - np.maximum.accumulate(np.where(begins, places, 0))
    first = int(np.argmax(begins[1:])) + 1 if begins[1:].any() else len(labels)
    found = np.empty(len(labels), dtype=np.int64)
    for label, chain in ((SILENCE, automaton.silence), (SPEECH, automaton.speech)):
        here = labels == label
        found[here] = chain[0] + np.minimum(since[here], len(chain) - 1)
        if len(labels) and labels[0] == label:
            found[:first] = chain[-1]  # a recording may begin inside a stretch
    return found


def choose_decoder(name: str = "auto"):
    """Return the function that finds best paths, with the arguments and results of ``best_labels``.

    ``auto`` takes k2 if it is installed.

    Raises:
        InputError: the name is unknown, or k2 is wanted and cannot be imported.
    """
    if name not in DECODERS:
        raise InputError(f"decoder {name!r} is none of {', '.join(DECODERS)}")
    if name == "viterbi" or (name == "auto" and importlib.util.find_spec("k2") is None):
        return best_labels
    try:
        from sv.features.vad_k2 import K2Decoder
    except (ImportError, OSError, RuntimeError) as error:
        if name == "auto":
            return best_labels
        raise InputError(
            f"the decoder k2 cannot be used ({error}): take --decoder viterbi, which gives the "
            "same paths, or see docs/long_recordings.md"
        ) from None

    def with_k2(automaton: Automaton, scores: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        scores, lengths = check_scores(scores, lengths)
        return K2Decoder.of(automaton.arcs)(scores, lengths)

    return with_k2
