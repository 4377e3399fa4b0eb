"""What devices and networks do to speech: each function takes (samples,) and returns as many.

Augmentation (``sv.features``, ``sv.audio.generated``) uses none of these. So a session that one of
them has made is of a kind that training with augmentation has not seen.
"""

import io
from fractions import Fraction

import numpy as np
import soundfile
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import lfilter, resample_poly

SPEED_OF_SOUND = 343.0
FRAME = 0.02  # seconds of speech in a packet, as in telephony over networks

CODECS = {
    "opus": ("OGG", "OPUS", (8000, 12000, 16000)),
    "mp3": ("MP3", "MPEG_LAYER_III", (8000, 11025, 16000)),
    "vorbis": ("OGG", "VORBIS", (8000, 11025, 16000)),
    "gsm": ("WAV", "GSM610", (8000,)),
    "a-law": ("WAV", "ALAW", (8000, 11025)),
    "adpcm": ("WAV", "IMA_ADPCM", (8000, 11025, 16000)),
}
"""Codec → soundfile's format and subtype, and the sampling rates at which sessions use it."""
LEVELS = {"opus": (0.9, 1.0), "mp3": (0.5, 0.98), "vorbis": (0.8, 1.0)}
"""Range of the compression level of codecs that have one; for opus from some 30 to 6 kbit/s."""


def filter_by(samples: np.ndarray, rate: int, gain) -> np.ndarray:
    """Return ``samples`` filtered: ``gain`` maps frequencies (Hz) to amplitudes, may be complex."""
    size = next_fast_len(len(samples) + rate // 10, real=True)
    return irfft(rfft(samples, size) * gain(rfftfreq(size, 1 / rate)), size)[: len(samples)]


def equaliser(centres: np.ndarray, decibel: np.ndarray):
    """Return the gain of an equaliser: ``decibel`` (k,) at ``centres`` (k,) in Hz, ascending.

    Between the centres the decibels are linear in octaves; beyond them they stay.
    """
    octaves = np.log2(centres)

    def gain(frequency: np.ndarray) -> np.ndarray:
        return 10 ** (np.interp(np.log2(np.maximum(frequency, 1.0)), octaves, decibel) / 20)

    return gain


def distance(metres: float, height: float):
    """Return the gain of a microphone ``metres`` away, ``height`` metres above a table.

    Three effects without any room: a near directional microphone raises the bass (6 dB per octave
    below c / 2πr), the table's reflection interferes with the direct sound, and the talker's treble
    is lost off axis, 1.5 dB for each doubling of the distance above 0.1 m at 8 kHz.
    """
    detour = np.sqrt(metres**2 + 4 * height**2) - metres
    near = SPEED_OF_SOUND / (2 * np.pi * metres)

    def gain(frequency: np.ndarray) -> np.ndarray:
        frequency = np.maximum(frequency, 60.0)
        bass = np.sqrt(1 + (near / frequency) ** 2)
        strength = 0.7 * metres / (metres + detour)
        comb = 1 + strength * np.exp(-2j * np.pi * frequency * detour / SPEED_OF_SOUND)
        treble = -1.5 * max(np.log2(metres / 0.1), 0.0) * frequency / 8000
        return bass * comb * 10 ** (treble / 20)

    return gain


def compress(
    samples: np.ndarray, rate: int, threshold: float, ratio: float, seconds: float
) -> np.ndarray:
    """Return ``samples`` after a compressor; a long ``seconds`` makes it an automatic gain control.

    The level is the root mean square over about ``seconds``. What exceeds the threshold (dB above
    the level of the whole) is divided by ``ratio``, in dB.
    """
    keep = np.exp(-1 / (seconds * rate))
    mean = float(np.mean(samples**2)) + 1e-12
    power, _ = lfilter([1 - keep], [1, -keep], samples**2, zi=[keep * mean])
    over = np.maximum(10 * np.log10(power / mean + 1e-6) - threshold, 0.0)
    return samples * 10 ** (over * (1 / ratio - 1) / 20)


def saturate(samples: np.ndarray, drive: float) -> np.ndarray:
    """Return ``samples`` after soft distortion; the 99 % loudest samples are driven ``drive``."""
    loud = np.quantile(np.abs(samples), 0.99) + 1e-9
    # A bias makes the curve asymmetric, so that even harmonics appear as in real amplifiers.
    return loud / drive * (np.tanh(drive * samples / loud + 0.2) - np.tanh(0.2))


def clip(samples: np.ndarray, share: float) -> np.ndarray:
    """Return ``samples`` with the loudest ``share`` of them cut off."""
    top = np.quantile(np.abs(samples), 1 - share)
    return np.clip(samples, -top, top)


def lose_packets(
    samples: np.ndarray, rate: int, share: float, burst: float, rng: np.random.Generator
) -> np.ndarray:
    """Return ``samples`` after a network that loses packets of 20 ms in bursts (Gilbert's model).

    A lost packet is replaced by the last one that arrived, at half the amplitude for each packet
    that is missing in a row. ``burst`` is the mean number of packets lost in a row.
    """
    size = round(FRAME * rate)
    count = -(-len(samples) // size)
    frames = np.pad(samples, (0, count * size - len(samples))).reshape(count, size)
    draws, lost, now = rng.random(count), np.zeros(count, bool), False
    enter = share / (burst * (1 - share))
    for number, draw in enumerate(draws):
        now = draw < (1 - 1 / burst if now else enter)
        lost[number] = now
    lost[0] = False
    last = np.maximum.accumulate(np.where(lost, 0, np.arange(count)))
    return (frames[last] * 0.5 ** (np.arange(count) - last)[:, None]).reshape(-1)[: len(samples)]


def resample(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """Return ``samples`` at another sampling rate; their number changes in proportion."""
    if old == new:
        return samples
    ratio = Fraction(new, old)
    return resample_poly(samples, ratio.numerator, ratio.denominator)


def code(samples: np.ndarray, rate: int, codec: str, level: float = 0.5) -> np.ndarray:
    """Return ``samples`` after coding and decoding.

    ``level`` from 0 (best) to 1 (worst) is a place in the codec's range in ``LEVELS``.
    """
    container, subtype, _ = CODECS[codec]
    best, worst = LEVELS.get(codec, (0.0, 0.0))
    more = {"compression_level": best + level * (worst - best)} if codec in LEVELS else {}
    peak = np.abs(samples).max() + 1e-9
    whole = io.BytesIO()
    coded = (0.7 / peak * samples).astype(np.float32)
    soundfile.write(whole, coded, rate, subtype=subtype, format=container, **more)
    whole.seek(0)
    decoded, _ = soundfile.read(whole, dtype="float64")
    decoded = decoded[: len(samples)] * (peak / 0.7)
    return np.pad(decoded, (0, len(samples) - len(decoded)))
