"""From measures of frames to stretches of speech: log-odds of each frame, and the smoother.

Two measures decide. Speech is louder than the background of its surroundings. And its spectrum
changes from syllable to syllable, while most music and noise stays as it is for longer.
"""

from typing import NamedTuple

import numpy as np

from sv.features.filterbank import fbank
from sv.features.framing import FRAMES_PER_SECOND, frame_sizes, num_frames
from sv.features.vad import FULL_SCALE, log_energy
from sv.features.vad_automaton import (
    SPEECH,
    Automaton,
    best_labels,
    speech_automaton,
    states_of,
)

BANDS = 40
LAG = 20
"""Frames between the two spectra whose difference is the change: about a syllable."""
QUIETEST = -12.0
"""Log energies of bands below this count as this: else digital silence would differ from a faint
noise by more than a vowel from a consonant."""
SILENT_DB = -70.0
"""Frames below this level, in dB of full scale, are silence in any recording."""
SURROUNDINGS = 60 * FRAMES_PER_SECOND
AROUND = FRAMES_PER_SECOND // 2
"""Frames on each side over which the change and the flatness of a frame are averaged."""

ENERGY_SLOPE, ENERGY_MOST = 0.25, 0.5
LIVELY, LIVELY_SLOPE, LIVELY_MOST = 1.4, 2.0, 1.5
FLAT, FLAT_SLOPE = -1.0, 2.0
"""The log-odds of a frame: slopes per unit of a measure, and most that one measure may say. A
frame says little, because a hundred of them follow each other in a second. ``LIVELY`` and ``FLAT``
are the change and the flatness between speech and other sounds."""

MIN_SILENCE, MIN_SPEECH, SILENCE_COST, SPEECH_COST = 0.2, 0.3, 1.0, 3.0
"""Seconds, and costs, of ``speech_automaton``."""
WINDOW, OVERLAP = 60 * FRAMES_PER_SECOND, 5 * FRAMES_PER_SECOND


class Measures(NamedTuple):
    """Measures of frames, (frames,) float32 each.

    log_energy: see ``sv.features.vad.log_energy``.
    change: mean over bands of |m_t − m_{t−LAG}|, m the log-mel spectrum; natural logarithms.
    flatness: spectral flatness in the same bands, mean of m minus ln mean of exp(m); 0 is flat.
    """

    log_energy: np.ndarray
    change: np.ndarray
    flatness: np.ndarray


class Listener:
    """Measures a waveform that comes in blocks; the result does not depend on the blocks."""

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self.waiting = np.zeros(0, dtype=np.float32)
        self.spectra = np.zeros((0, BANDS), dtype=np.float32)
        self.found: list[Measures] = []

    def hear(self, samples: np.ndarray) -> None:
        """Take the next samples (samples,) float32 in [-1, 1]."""
        samples = np.concatenate([self.waiting, samples.astype(np.float32, copy=False)])
        frames = num_frames(len(samples), self.sample_rate)
        if frames:
            self._measure(samples)
        self.waiting = samples[frames * frame_sizes(self.sample_rate)[1] :]

    def _measure(self, samples: np.ndarray) -> None:
        energy = log_energy(samples, self.sample_rate)
        now = np.maximum(fbank(samples, self.sample_rate, BANDS), QUIETEST)
        both = np.concatenate([self.spectra, now])
        change = np.zeros(len(now), dtype=np.float32)
        count = max(0, len(both) - LAG)
        if count:
            moved = np.abs(both[LAG:] - both[:-LAG]).mean(axis=1)
            change[len(now) - min(count, len(now)) :] = moved[-len(now) :]
        highest = now.max(axis=1)
        power = np.exp(now - highest[:, None]).mean(axis=1)
        flatness = now.mean(axis=1) - highest - np.log(power)
        self.spectra = both[-LAG:]
        self.found.append(Measures(energy, change, flatness.astype(np.float32)))

    def measures(self) -> Measures:
        """Return the measures of all frames so far."""
        if not self.found:
            return Measures(*(np.zeros(0, dtype=np.float32) for _ in range(3)))
        self.found = [Measures(*map(np.concatenate, zip(*self.found, strict=True)))]
        return self.found[0]


def local_threshold(energy: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Return the log energy (frames,) that separates speech from its surroundings of a minute.

    The threshold lies at 0.4 of the way from the background (10th percentile) to the level of
    speech (95th), at least 1.2 (5 dB) above the background, and never below ``SILENT_DB``.
    """
    window = frame_sizes(sample_rate)[0]
    silent = np.log(window) + 2 * np.log(FULL_SCALE * 10 ** (SILENT_DB / 20))
    hop = SURROUNDINGS // 4
    places = np.arange(hop // 2, max(len(energy), hop // 2 + 1), hop)
    thresholds = []
    for place in places:
        near = energy[max(0, place - SURROUNDINGS // 2) : place + SURROUNDINGS // 2]
        low, high = np.percentile(np.maximum(near, silent - 2.0), [10, 95])
        thresholds.append(max(low + max(0.4 * (high - low), 1.2), silent))
    return np.interp(np.arange(len(energy)), places, thresholds).astype(np.float32)


def frame_log_odds(measures: Measures, sample_rate: int = 16000) -> np.ndarray:
    """Return ln p(speech) / p(not speech) of each frame, (frames,) float32, up to a scale.

    The sum of what the energy and the surroundings of the frame say: see the constants above.
    """
    if len(measures.log_energy) == 0:
        return np.zeros(0, dtype=np.float32)
    energy = measures.log_energy
    loud = energy - local_threshold(energy, sample_rate)
    odds = np.clip(ENERGY_SLOPE * loud, -ENERGY_MOST, ENERGY_MOST)
    change = _around(_shifted(measures.change), AROUND)
    odds += np.clip(LIVELY_SLOPE * (change - LIVELY), -LIVELY_MOST, LIVELY_MOST / 2)
    flat = _around(measures.flatness, AROUND)
    odds += np.clip(FLAT_SLOPE * (FLAT - flat), -LIVELY_MOST, 0.0)
    return odds.astype(np.float32)


def _shifted(change: np.ndarray) -> np.ndarray:
    """Put each change between its two frames."""
    half = LAG // 2
    return np.concatenate([change[half:], np.repeat(change[-1:], min(half, len(change)))])


def _around(values: np.ndarray, frames: int) -> np.ndarray:
    """Return the mean of the values from t − frames to t + frames that exist."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.arange(len(values))
    first = np.maximum(places - frames, 0)
    last = np.minimum(places + frames + 1, len(values))
    return ((sums[last] - sums[first]) / (last - first)).astype(np.float32)


def default_automaton() -> Automaton:
    """Return the automaton of the constants above."""
    silence, speech = (round(s * FRAMES_PER_SECOND) for s in (MIN_SILENCE, MIN_SPEECH))
    return speech_automaton(silence, speech, SILENCE_COST, SPEECH_COST)


def smooth(
    odds: np.ndarray,
    automaton: Automaton | None = None,
    decoder=best_labels,
    window: int = WINDOW,
    overlap: int = OVERLAP,
) -> np.ndarray:
    """Return which frames are speech, (frames,) bool, by the best path for log-odds (frames,).

    A long recording is decoded in windows, as a batch. Two windows are joined at a frame of their
    overlap at which both paths are in the same state, so no stretch is shorter than the automaton
    allows. If there is no such frame, the two are decoded again as one.

    Args:
        odds: log-odds of speech, (frames,), finite.
        automaton: see ``speech_automaton``; default: ``default_automaton``.
        decoder: ``best_labels``, or what ``choose_decoder`` returns.
        window: frames that are decoded at once.
        overlap: frames that neighbouring windows share.
    """
    automaton = automaton or default_automaton()
    if len(odds) == 0:
        return np.zeros(0, dtype=bool)
    step = window - overlap
    starts = list(range(0, max(1, len(odds) - overlap), step))
    stops = [min(start + window, len(odds)) for start in starts]
    paths = _decode(odds, starts, stops, automaton, decoder)
    found, begin = paths[0], 0
    for start, stop, path in zip(starts[1:], stops[1:], paths[1:], strict=True):
        first = start - begin
        shared = len(found) - first
        same = states_of(automaton, found)[first:] == states_of(automaton, path)[:shared]
        # A state at the beginning of a window may be wrong: its past is not known.
        places = np.flatnonzero(same)
        if len(places):
            place = places[np.argmin(np.abs(places - shared // 2))]
            found = np.concatenate([found[: first + place], path[place:]])
        else:
            found = _decode(odds, [begin], [stop], automaton, decoder)[0]
    return found == SPEECH


def _decode(odds, starts, stops, automaton, decoder) -> list[np.ndarray]:
    """Return the best paths of the pieces of ``odds`` from each start to its stop."""
    lengths = np.array(stops) - np.array(starts)
    scores = np.zeros((len(starts), lengths.max(), 2), dtype=np.float32)
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        scores[row, : stop - start, SPEECH] = odds[start:stop]
    return decoder(automaton, scores, lengths)
