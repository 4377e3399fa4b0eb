"""Noise, music and room responses from formulas, for augmentation if no recordings are given.

The caller's random generator determines the clips. Rooms and noise colours have the distributions
of the mini corpus's channels (``sv.audio.channels``), but never its seeds.
"""

import numpy as np

from sv.audio.channels import SAMPLE_RATE, coloured_noise, draw_room, mains_hum, room_response
from sv.errors import InputError

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


def generate_noise(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return a clip (samples,) float32 at 16 kHz, peak 0.9.

    Args:
        kind: "noise" (coloured noise with slow swells, hum, knocks), "music" (a few bars of
            chords and a tune) or "babble" (several voice-like buzzes at once).
        seconds: length, at least 0.1.
        rng: random generator, which determines the clip.

    Raises:
        InputError: the kind is unknown, or the clip is shorter than 0.1 s.
    """
    makers = {"noise": _noise, "music": _music, "babble": _babble}
    if kind not in makers:
        raise InputError(f"noise kind '{kind}' is unknown; use one of {', '.join(makers)}")
    if not seconds >= 0.1:
        raise InputError(f"a clip of {seconds} s is too short; ask for at least 0.1 s")
    clip = makers[kind](int(round(seconds * SAMPLE_RATE)), rng)
    return (0.9 * clip / np.abs(clip).max()).astype(np.float32)


def generate_room_response(rng: np.random.Generator) -> np.ndarray:
    """Return a room response (samples,) float32 at 16 kHz; sample 0 is the direct path, 1.0."""
    return room_response(draw_room(rng), rng)


def _noise(count: int, rng: np.random.Generator) -> np.ndarray:
    clip = coloured_noise(count, rng.uniform(-6.0, 1.0), rng) * _swell(count, rng)
    if rng.random() < 0.3:
        clip += rng.uniform(0.2, 1.0) * mains_hum(count, float(rng.choice([50.0, 60.0])), rng)
    if rng.random() < 0.4:
        clip += _knocks(count, rng)
    return clip


def _swell(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a positive envelope that wanders by up to 10 dB about once a second."""
    points = max(int(count / SAMPLE_RATE), 1) + 2
    decibel = rng.uniform(0.0, 5.0) * rng.uniform(-1.0, 1.0, points)
    return 10 ** (np.interp(np.linspace(0, points - 1, count), np.arange(points), decibel) / 20)


def _knocks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return short decaying bursts of noise, about two a second."""
    clip = np.zeros(count)
    for _ in range(rng.poisson(2.0 * count / SAMPLE_RATE) + 1):
        start = int(rng.integers(count))
        length = min(int(rng.uniform(0.02, 0.15) * SAMPLE_RATE), count - start)
        decay = np.exp(-np.arange(length) / (0.2 * length + 1))
        clip[start : start + length] += rng.uniform(1, 5) * decay * rng.standard_normal(length)
    return clip


def _music(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return three-note chords of two beats each, and a tune above them, in one key and timbre."""
    scale = SCALES["major" if rng.random() < 0.5 else "minor"]
    tonic = 110.0 * 2 ** (rng.integers(12) / 12)
    beat = int(60 / rng.uniform(70, 150) * SAMPLE_RATE)
    partials = rng.uniform(0.1, 1.0, 8) / np.arange(1, 9) ** rng.uniform(0.5, 1.5)
    attack, decay = rng.uniform(0.005, 0.1), rng.uniform(0.15, 1.0)
    clip = np.zeros(count)
    for start in range(0, count, beat):
        length = min(2 * beat, count - start)
        root = int(rng.choice([0, 3, 4, 5]))
        for degree in (root, root + 2, root + 4, 7 + int(rng.integers(8))):
            pitch = tonic * 2 ** (scale[degree % 7] / 12 + degree // 7)
            clip[start : start + length] += _tone(pitch, length, partials, attack, decay)
    return clip


def _tone(
    pitch: float, count: int, partials: np.ndarray, attack: float, decay: float
) -> np.ndarray:
    time = np.arange(count) / SAMPLE_RATE
    tone = sum(
        height * np.sin(2 * np.pi * pitch * order * time)
        for order, height in enumerate(partials, 1)
        if pitch * order < SAMPLE_RATE / 2
    )
    return tone * (1 - np.exp(-time / attack)) * np.exp(-time / decay)


def _babble(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return three to seven voices: a buzz, moving resonances, syllables and pauses."""
    return sum(_voice(count, rng) for _ in range(rng.integers(3, 8)))


def _voice(count: int, rng: np.random.Generator) -> np.ndarray:
    rate = rng.uniform(3.5, 5.5)  # syllables a second
    syllables = int(count / SAMPLE_RATE * rate) + 2
    place = np.linspace(0, syllables - 1, count)
    at = np.arange(syllables)
    pitch = rng.uniform(90, 240) * 2 ** (np.interp(place, at, rng.normal(0, 0.15, syllables)))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    length = rng.uniform(0.85, 1.15)
    resonances = [
        np.interp(place, at, length * rng.uniform(low, high, syllables))
        for low, high in ((300, 800), (900, 2300), (2200, 3000))
    ]
    voice = np.zeros(count)
    for order in range(1, 24):
        frequency = pitch * order
        height = sum(
            weight / (1 + ((frequency - centre) / width) ** 2)
            for centre, width, weight in zip(
                resonances, (80, 120, 200), (1.0, 0.6, 0.3), strict=True
            )
        )
        voice += height / order**0.3 * np.sin(order * phase)
    loud = np.abs(np.sin(np.pi * place)) * (rng.random(syllables) < 0.8)[place.astype(int)]
    return rng.uniform(0.5, 1.0) * voice * loud
