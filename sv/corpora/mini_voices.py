"""Synthetic speakers and their speech: a voice of eSpeak, a vocal-tract length, a pitch, a rate.

eSpeak is a formant synthesiser, which Praat contains. Its voice variant sets formant ratios,
spectral slope and bandwidths; the accent changes the vowels. Playing the sound faster or slower
changes the vocal-tract length: all formants are scaled, but also the pitch and the rate. So eSpeak
is asked for a pitch and a rate that cancel the change of these two.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import resample_poly

from sv.errors import InputError

SAMPLE_RATE = 16000
ESPEAK_RATE = 22050  # Hz, eSpeak's own rate, so Praat does not resample

ACCENTS = (
    "English (America)",
    "English (Great Britain)",
    "English (Received Pronunciation)",
    "English (West Midlands)",
    "English (Lancaster)",
    "English (Scotland)",
    "English (Caribbean)",
)
# Median pitch in Hz of each unchanged variant, measured with Praat's pitch tracker. Left out are
# whispers, creaks, robots, Klatt's variants (silent in some builds) and copies of other variants.
VARIANTS = {
    "m": {
        "Male1": 92,
        "Male2": 100,
        "Male3": 103,
        "Male5": 101,
        "Male7": 105,
        "Max": 100,
        "Michel": 104,
        "Norbert": 99,
    },
    "f": {
        "Female1": 178,
        "Female2": 193,
        "Female3": 209,
        "Female4": 178,
        "Female5": 202,
        "Linda": 226,
        "Annie": 231,
    },
}
# Ranges over the speakers of one sex: formant ratio, median pitch (Hz), pitch deviation
# (semitones), words per minute. People of one sex differ by about this much.
RANGES = {
    "m": ((0.88, 1.10), (88.0, 145.0), (0.8, 2.4), (160.0, 215.0)),
    "f": ((0.88, 1.10), (165.0, 245.0), (0.8, 2.0), (160.0, 215.0)),
}
SLOPES = (-3.0, 3.0)  # dB per octave: from a soft voice to a bright one
# The generalised golden ratio of five dimensions: multiples of its powers fill a 5-cube evenly
# (Roberts' R sequence), so that no two speakers of a sex get nearly the same numbers.
_GOLDEN = 1.1347241384015194  # solves x**6 = x + 1
_STEPS = np.array([_GOLDEN**-k for k in range(1, 6)])


@dataclass(frozen=True)
class Voice:
    """The parameters of a speaker.

    ``pitch`` is the median in Hz, ``pitch_range`` the standard deviation in semitones, ``rate`` in
    words per minute, ``slope`` the brightness of the source in dB per octave.
    """

    sex: str
    accent: str
    variant: str
    formant_ratio: float
    pitch: float
    pitch_range: float
    rate: float
    slope: float


def draw_voices(count: int, rng: np.random.Generator) -> list[Voice]:
    """Return ``count`` different voices, alternating between men and women."""
    drawn: dict[str, list[Voice]] = {}
    for sex, variants in VARIANTS.items():
        names, rounds, start = list(variants), math.ceil(count / 2), rng.random(5)
        # All variants in a random order, then all again: a repeated variant gets another accent
        # and another vocal tract.
        order = np.concatenate([rng.permutation(len(names)) for _ in range(rounds)])
        accents = np.concatenate([rng.permutation(len(ACCENTS)) for _ in range(rounds)])
        drawn[sex] = [
            Voice(sex, ACCENTS[accents[i]], names[order[i]], *_point(start, i, sex))
            for i in range(rounds)
        ]
    return [drawn["mf"[i % 2]][i // 2] for i in range(count)]


def _point(start: np.ndarray, index: int, sex: str) -> list[float]:
    """Return point ``index`` of the even sequence: the ranges on log scales, then the slope."""
    *unit, bright = (start + index * _STEPS) % 1.0
    values = [low * (high / low) ** u for u, (low, high) in zip(unit, RANGES[sex], strict=True)]
    return [round(float(value), 4) for value in (*values, SLOPES[0] + bright * np.ptp(SLOPES))]


def speak(voice: Voice, sentence: str, pitch_factor: float = 1.0, rate_factor: float = 1.0):
    """Return ``sentence`` as spoken by ``voice``: float64 (samples,) at 16 kHz, peak below about 1.

    The factors are the small changes of pitch and rate that everybody shows from day to day.
    eSpeak keeps hidden state from one call to the next, so only the FIRST call of a process is
    repeatable (see ``sv.corpora.mini_speech.make_files``). When one process spoke all utterances
    twice, only one in twenty was the same.
    """
    call = require_espeak()
    synthesizer = call("Create SpeechSynthesizer", voice.accent, voice.variant)
    multiplier, spread = _espeak_pitch(voice, pitch_factor)
    words_a_minute = round(voice.rate * rate_factor / voice.formant_ratio)
    call(
        synthesizer,
        "Speech output settings",
        ESPEAK_RATE,
        0.01,
        multiplier,
        spread,
        words_a_minute,
        "IPA",
    )
    sound = call(synthesizer, "To Sound", sentence, "no")
    samples = (sound[0] if isinstance(sound, list) else sound).values[0]
    ratio = Fraction(SAMPLE_RATE / (ESPEAK_RATE * voice.formant_ratio)).limit_denominator(200)
    samples = resample_poly(samples, ratio.numerator, ratio.denominator)
    return _brighten(samples, voice.slope)


def _brighten(samples: np.ndarray, slope: float) -> np.ndarray:
    """Return ``samples`` (samples,), raised by ``slope`` dB per octave above 200 Hz, same peak."""
    size = next_fast_len(len(samples), real=True)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / SAMPLE_RATE), 200.0) / 1000.0)
    bright = irfft(rfft(samples, size) * 10 ** (slope * octaves / 20), size)[: len(samples)]
    return bright * (np.abs(samples).max() / max(np.abs(bright).max(), 1e-9))


def _espeak_pitch(voice: Voice, pitch_factor: float) -> tuple[float, float]:
    """Return Praat's pitch multiplier (0.5 to 2) and pitch range multiplier (0 to 2).

    Measured: median pitch = base * (0.20 + 0.67 multiplier + 0.13 range), and the deviation
    in Hz depends on the range alone, 1.33 semitones of the base at range 1.
    """
    base = VARIANTS[voice.sex][voice.variant]
    wanted = voice.pitch * pitch_factor / voice.formant_ratio / base
    spread = min(voice.pitch_range / 1.33 * wanted, 2.0)
    multiplier = (wanted - 0.20 - 0.13 * spread) / 0.67
    return min(max(multiplier, 0.5), 2.0), spread


def require_espeak():
    """Load Praat and return its ``call``.

    Raises:
        InputError: praat-parselmouth is not installed.
    """
    try:
        from parselmouth.praat import call
    except ImportError as error:
        raise InputError(
            "the mini corpus is spoken by the eSpeak inside Praat, and the Python package "
            "praat-parselmouth is not installed: pip install 'praat-parselmouth>=0.4.5' "
            "(or pip install -e '.[mini]')"
        ) from error
    return call
