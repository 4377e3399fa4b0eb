"""Reads audio files (WAV, FLAC, Ogg, Opus, MP3) and writes them, with libsndfile (soundfile)."""

import functools
import logging
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sv.audio.channel_choice import FULL_SCALE, to_mono, unlike
from sv.audio.parts import AGAIN
from sv.audio.source import Info, measure, open_audio
from sv.errors import AudioError, InputError
from sv.files import atomic_write, shown, utf8
from sv.numbers import MAX_OVERSHOOT, samples_of

log = logging.getLogger(__name__)

WRITERS = {".wav": "WAV", ".flac": "FLAC"}
LOUDEST = 16.0
"""Floating-point samples beyond this have another scale, such as that of 16-bit numbers."""

_said: set[tuple[str, int, int]] = set()


def read_audio(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    channel: int | None = None,
    seconds: tuple[float, float] | None = None,
) -> np.ndarray:
    """Return the samples of an audio file as float32 (samples,); 16-bit full scale is 1.0.

    Channels are averaged unless ``channel`` chooses one (see ``to_mono``). Audio of another sample
    rate is resampled to ``sample_rate`` in Hz. The logger ``sv.audio.files`` warns of the first
    file of each such kind. ``seconds``: start and end of the span to read (see ``decode``).

    Raises:
        AudioError: the file is missing, unreadable, cut off or without samples, does not state its
            length, has samples that are not finite or have another scale, its channels cancel
            each other, or it ends before the span.
    """
    samples, rate, _, _ = decode(path, seconds)
    if channel is None:
        say_channels(path, samples)
    try:
        samples = to_mono(samples, channel)
    except AudioError as error:
        raise error.of(shown(path)) from None
    if rate != sample_rate:
        say_rate(path, rate, sample_rate)
        samples = resample(samples, rate, sample_rate)
    return samples


class Decoded(NamedTuple):
    """What is in an audio file.

    ``samples``: (samples,) or (samples, channels), int16 if the file has 16-bit samples, else
    float32; ``rate`` in Hz; ``format``: libsndfile's name of the file format.
    """

    samples: np.ndarray
    rate: int
    channels: int
    format: str


def decode(path: str | os.PathLike, seconds: tuple[float, float] | None = None) -> Decoded:
    """Decode an audio file, with all channels.

    ``seconds``: decode only the span between these two times; an infinite second one is the end of
    the file. Of WAV, FLAC and similar files only the span is read. Other files are decoded as a
    whole, and the last one is kept for further spans of it.

    Raises:
        AudioError: as ``read_audio``, except for channels that cancel each other.
    """
    with open_audio(path) as audio:
        if seconds is None:
            samples, info = audio.decode()
        else:
            samples, info = audio.decode_span(seconds) or _cut(path, seconds)
        if len(samples) == 0:
            raise AudioError("holds no samples: remove it from the list")
        check_numbers(samples)
    return Decoded(samples, info.rate, info.channels, info.format)


def _cut(path: str | os.PathLike, seconds: tuple[float, float]) -> tuple[np.ndarray, Info]:
    """Cut the span between two times out of the whole file."""
    status = os.stat(utf8(path))
    samples, info = _whole(os.fspath(path), status.st_size, status.st_mtime_ns)
    first, last = samples_of(seconds, info.rate, len(samples))
    if not first < last <= len(samples) + MAX_OVERSHOOT * info.rate or first >= len(samples):
        raise AudioError(
            f"has {len(samples) / info.rate:.2f} s, and a span of it lasts from {seconds[0]:.2f} "
            f"to {seconds[1]:.2f} s: correct the span (in segments), or leave it out"
        )
    return samples[first:last], info


@functools.lru_cache(maxsize=1)
def _whole(path: str, size: int, changed: int) -> tuple[np.ndarray, Info]:
    """Decode a file; ``size`` and ``changed`` tell the versions of a file apart."""
    with open_audio(path) as audio:
        return audio.decode()


def check_numbers(samples: np.ndarray) -> None:
    """Raise ``AudioError`` if samples of a file are no numbers in [-1, 1]."""
    problem = not_audio(samples)
    if problem:
        remedy = AGAIN
        if "scale" in problem:
            remedy = "write it again, such as with 'sox -v 0.000030517578125 in.wav -b 16 out.wav'"
        raise AudioError(f"{problem}: {remedy}")


def not_audio(samples: np.ndarray) -> str | None:
    """Return why the numbers are no samples in [-1, 1], or None."""
    if samples.dtype.kind != "f" or samples.size == 0:
        return None
    low, high = float(samples.min()), float(samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return "has samples that are no numbers (NaN or infinite)"
    loudest = max(-low, high)
    if loudest > LOUDEST:
        return (
            f"has floating-point samples up to {loudest:,.0f}, not in [-1, 1] (of the scale of "
            "16-bit numbers?)"
        )
    return None


def audio_info(path: str | os.PathLike) -> tuple[int, int, int]:
    """Return (sample rate in Hz, channels, samples per channel), the same as decoding gives.

    Raises:
        AudioError: see ``sv.audio.source.open_audio``.
    """
    return measure(path)[:3]


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample (samples,) from ``rate`` to ``new_rate`` Hz by a polyphase Kaiser filter."""
    from scipy.signal import resample_poly  # slow to import, and most corpora do not need it

    common = math.gcd(rate, new_rate)
    return resample_poly(samples, new_rate // common, rate // common).astype(np.float32, copy=False)


def write_audio(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Write float samples (samples,) in [-1, 1] as a 16-bit ``.wav`` or ``.flac`` file.

    ``read_audio`` returns 16-bit values exactly. Samples beyond full scale are clipped. The file
    appears under its name only when it is complete.

    Raises:
        InputError: the path has another ending, or samples are NaN or infinite.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{path}: audio is written as {' or '.join(WRITERS)}; choose one of them")
    samples = np.asarray(samples, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: the samples to write hold NaN or infinite values")
    scaled = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    with atomic_write(path, "wb") as handle:
        soundfile.write(
            handle,
            scaled.astype(np.int16),
            sample_rate,
            format=WRITERS[path.suffix.lower()],
            subtype="PCM_16",
        )


def say_channels(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Warn that the channels of (samples, channels) are averaged; of the first such file only."""
    if samples.ndim == 1 or samples.shape[1] == 1:
        return
    channels, differ = samples.shape[1], unlike(samples)
    note = f"{shown(path)} {differ or f'has {channels} channels'}; they are averaged"
    _say_once("unlike" if differ else "channels", channels, 1, note)


def say_rate(path: str | os.PathLike, rate: int, sample_rate: int) -> None:
    """Warn that a file has another sample rate; of the first such file only."""
    note = "; nothing is above half of it" if rate < sample_rate else ""
    _say_once("rate", rate, sample_rate, f"{shown(path)} is sampled at {rate} Hz{note}")


def _say_once(kind: str, found: int, wanted: int, sentence: str) -> None:
    """Warn of the first file of a kind only; a million warnings would hide everything else."""
    if (kind, found, wanted) in _said:
        return
    _said.add((kind, found, wanted))
    to = f"; resampled to {wanted} Hz" if kind == "rate" else ""
    log.warning("%s%s (said once; further files like it are treated alike)", sentence, to)
