"""Reading and writing audio files: WAV, FLAC, Ogg, Opus, MP3, by libsndfile (soundfile)."""

import logging
import math
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sv.errors import InputError
from sv.files import atomic_write

log = logging.getLogger(__name__)

FULL_SCALE = 32768.0
WRITERS = {".wav": "WAV", ".flac": "FLAC"}

# libsndfile reads what there is of a WAV or Ogg file that was cut off, and only its log tells:
# "data : 64000 (should be 31978)". Programs that write to a pipe leave a size of about 2**31 or
# 2**32 there. An Ogg file without its end mark alone is no proof: recorders often leave it out.
_CUT_OFF = re.compile(r"^ *(?:data|ds64|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_BROKEN_PAGE = "Junk after the last page"
_UNKNOWN_SIZE = 0x7FFF0000
# A FLAC file written to a pipe leaves its length open. libsndfile then says a huge one, and
# soundfile, which seeks after each block, cannot read such a file at all.
MAX_SAMPLES = 1 << 62
BLOCK = 1 << 23
"""Samples read at a time, all channels together: nine minutes at 16 kHz."""
MIN_RATE, MAX_RATE = 1_000, 1_000_000
"""Hz. Resampling from a rate that is no rate of sound takes any amount of memory."""
NO_LENGTH = (
    "does not say how long it is (it was written to a pipe): write it again, for instance with "
    "'flac in.flac -o out.flac'"
)
# An MP3 header may count the coder's run-in and run-out, at most two blocks of 1152 samples each.
_MP3_SLACK = 4 * 1152

_said: set[tuple[str, int, int]] = set()


def read_audio(path: str | os.PathLike, sample_rate: int = 16000) -> np.ndarray:
    """Return the samples of an audio file as float32 (samples,), 16-bit full scale being 1.0.

    Channels are averaged; another sample rate is resampled to ``sample_rate`` in Hz. Each of
    these is said once in a program (as a warning of the logger ``sv.data.audio``).

    Raises:
        InputError: the file is missing, unreadable, cut off, without samples, does not say its
            length, or has samples that are not numbers.
    """
    samples, rate, channels, _, _ = decode(path)
    if channels > 1:
        _say_once("channels", channels, 1, f"{path} has {channels} channels; they are averaged")
    samples = to_mono(samples)
    if rate != sample_rate:
        note = "; nothing is above half of it" if rate < sample_rate else ""
        _say_once("rate", rate, sample_rate, f"{path} is sampled at {rate} Hz{note}; resampled")
        samples = resample(samples, rate, sample_rate)
    return samples


class Decoded(NamedTuple):
    """What is in an audio file.

    ``samples``: (samples,) or (samples, channels), int16 where the file has 16-bit samples, else
    float32; ``rate`` in Hz; ``format`` and ``notes``: libsndfile's name of it, and its log.
    """

    samples: np.ndarray
    rate: int
    channels: int
    format: str
    notes: str


def decode(path: str | os.PathLike) -> Decoded:
    """Decode a whole audio file. Raises ``InputError`` as ``read_audio``."""
    with _opened(path) as audio:
        # 16-bit samples are converted by the caller: libsndfile's own conversion takes longer.
        dtype = "int16" if audio.subtype == "PCM_16" else "float32"
        if not MIN_RATE <= audio.samplerate <= MAX_RATE:
            raise InputError(
                f"{path} is damaged: its header says {audio.samplerate} samples a second: {_REMEDY}"
            )
        try:
            samples = _read_blocks(audio, dtype)
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{path} is damaged or cut off ({_reason(error)}): {_REMEDY}"
            ) from None
        _refuse_cut_off(path, audio, len(samples))
        found = Decoded(samples, audio.samplerate, audio.channels, audio.format, audio.extra_info)
    if len(samples) == 0:
        raise InputError(f"{path} holds no samples: remove it from the list")
    if dtype == "float32" and not np.isfinite(samples).all():
        raise InputError(f"{path} has samples that are no numbers (NaN or infinite): {_REMEDY}")
    return found


def _read_blocks(audio: soundfile.SoundFile, dtype: str) -> np.ndarray:
    """Read to the end in blocks: a damaged header may say any length."""
    size = max(1, BLOCK // audio.channels)
    blocks = [audio.read(size, dtype=dtype)]
    while len(blocks[-1]) == size:
        blocks.append(audio.read(size, dtype=dtype))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Return decoded samples as float32 (samples,): the mean of the channels, full scale 1.0."""
    scale = np.float32(1 / FULL_SCALE if samples.dtype == np.int16 else 1)
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    return samples * scale if scale != 1 else samples


def audio_info(path: str | os.PathLike) -> tuple[int, int, int]:
    """Return (sample rate in Hz, channels, samples per channel) as the header says.

    Nothing is decoded, so a cut-off FLAC or MP3 file is not found. Raises ``InputError`` for a
    file that cannot be opened.
    """
    with _opened(path) as audio:
        return audio.samplerate, audio.channels, audio.frames


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample (samples,) from ``rate`` to ``new_rate`` Hz by a polyphase Kaiser filter."""
    from scipy.signal import resample_poly  # slow to import, and most corpora do without

    common = math.gcd(rate, new_rate)
    return resample_poly(samples, new_rate // common, rate // common).astype(np.float32, copy=False)


def write_audio(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Write float samples (samples,) in [-1, 1] as a 16-bit ``.wav`` or ``.flac`` file.

    ``read_audio`` gives 16-bit values back exactly. What exceeds full scale is clipped. The file
    appears under its name only when it is complete.

    Raises:
        InputError: another ending, or samples that are no numbers.
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


_REMEDY = "copy or convert it again, or remove it from the list (wav.scp)"


def _opened(path: str | os.PathLike) -> soundfile.SoundFile:
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise InputError(f"{path} is no regular file (a pipe or a device?): {_REMEDY}")
    try:
        audio = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a name ending in .raw
        raise InputError(_why_not(Path(path), error)) from None
    if audio.frames > MAX_SAMPLES:
        audio.close()
        raise InputError(f"{path} {NO_LENGTH}")
    return audio


def _why_not(path: Path, error: Exception) -> str:
    """Say why a file cannot be opened: libsndfile calls most of it "System error"."""
    if not path.exists():
        return f"{path} does not exist: correct the path (in wav.scp), or copy the audio there"
    if path.is_dir():
        return f"{path} is a folder, not an audio file: correct the path"
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read: permission denied; change its mode or owner"
    if path.stat().st_size == 0:
        return f"{path} is empty (0 bytes): {_REMEDY}"
    return f"{path} cannot be read as audio ({_reason(error)}): {_REMEDY}"


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return reason or "damaged, or without samples"


def _refuse_cut_off(path: str | os.PathLike, audio: soundfile.SoundFile, decoded: int) -> None:
    said = audio.frames
    slack = _MP3_SLACK if audio.format == "MP3" else 0
    if decoded + slack < said:
        raise InputError(
            f"{path} is cut off: {decoded} samples instead of the {said} in its header: {_REMEDY}"
        )
    if audio.format in ("FLAC", "MP3"):  # these have raised by now
        return
    notes = audio.extra_info
    sizes = [(int(there), int(promised)) for promised, there in _CUT_OFF.findall(notes)]
    if _BROKEN_PAGE in notes or any(a < b < _UNKNOWN_SIZE for a, b in sizes):
        raise InputError(f"{path} is cut off: only {decoded} samples of it are there: {_REMEDY}")


def _say_once(kind: str, found: int, wanted: int, sentence: str) -> None:
    """Warn about the first file of a kind; a million lines would hide everything else."""
    if (kind, found, wanted) in _said:
        return
    _said.add((kind, found, wanted))
    to = f" to {wanted} Hz" if kind == "rate" else ""
    log.warning("%s%s (said once; further files like it are treated alike)", sentence, to)
