"""16-bit waveforms in arks: entries ``<key> `` and a WAV file, as Kaldi's ``wav-copy`` writes them.

Kaldi reads such arks (``wav-copy scp:wav_ark.scp ...``), and kaldiio reads an entry as (rate,
int16 samples). A training crop of 2 s is 64 kB of the file. Its place is computed, and the crop is
copied once. With audio files, each crop would open a file, and FLAC would have to be decoded. An
ark is as large as the WAV files, 115 MB an hour.
"""

import mmap
import struct
from typing import NamedTuple

import numpy as np

from sv.errors import InputError
from sv.kaldi.format import refuse_truncated
from sv.kaldi.windows import WindowReader

SAMPLE = np.dtype("<i2")
FULL_SCALE = 32768.0
"""An int16 sample divided by this lies in [-1, 1), the scale of all floats in this toolkit."""

# RIFF, size - 8, WAVE, "fmt ", 16, PCM = 1, channels, rate, bytes a second, bytes a sample, bits,
# "data", bytes of samples: the header of 44 bytes that Kaldi, kaldiio and Python's wave write.
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FORMAT = struct.Struct("<HHIIHH")
_LARGEST = 0xFFFFFFFF - _HEADER.size


class Waveform(NamedTuple):
    """What a header says. ``data``: offset of the first sample; ``samples``: their number."""

    rate: int
    samples: int
    data: int


def encode(samples: np.ndarray, rate: int) -> bytes:
    """Return (samples,), int16 or floats in [-1, 1], as the bytes of a mono 16-bit WAV file.

    ``rate`` in Hz. Floats are rounded, and clipped beyond full scale. Floats that
    ``sv.audio.files.read_audio`` returned for 16-bit audio become the original integers.

    Raises:
        ValueError: the array is no vector, is empty or longer than 4 GB, has integers of another
            type, or floats that are NaN or infinite.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"a waveform has the shape (samples,), not {samples.shape}")
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise ValueError("the waveform holds NaN or infinite values")
        samples = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
    elif samples.dtype != np.int16:
        raise ValueError(f"a waveform is int16 or floating point, not {samples.dtype}")
    body = samples.astype(SAMPLE).tobytes()
    if len(body) > _LARGEST:
        raise ValueError("the waveform is longer than a WAV file can be (4 GB): cut it")
    head = (b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return _HEADER.pack(*head, b"data", len(body)) + body


def parse(buffer, offset: int, where: str) -> Waveform:
    """Read the header of the WAV file at ``offset`` of ``buffer`` (bytes or mmap).

    Chunks other than the format and the samples are skipped.

    Raises:
        InputError: no WAV file, not 16-bit mono, or cut short; the message begins with ``where``.
    """
    size = len(buffer)
    if offset + _HEADER.size > size:
        refuse_truncated(where, offset + _HEADER.size, size)
    if buffer[offset : offset + 4] != b"RIFF" or buffer[offset + 8 : offset + 12] != b"WAVE":
        raise InputError(
            f"{where}: the entry at byte {offset} is no waveform; the offset in the scp does not "
            "fit this ark (was the ark written again later?) or it is an ark of something else"
        )
    at, form = offset + 12, None
    while True:
        if at + 8 > size:
            refuse_truncated(where, at + 8, size)
        name, length = struct.unpack_from("<4sI", buffer, at)
        at += 8
        if name == b"fmt ":
            if at + _FORMAT.size > size:
                refuse_truncated(where, at + _FORMAT.size, size)
            form = _FORMAT.unpack_from(buffer, at)
        elif name == b"data":
            break
        at += length + length % 2
    if form is None or (form[0], form[1], form[5]) != (1, 1, 16):
        raise InputError(
            f"{where}: the waveform at byte {offset} is not 16-bit PCM with one channel: make the "
            "ark again with stage 1 (--wave true)"
        )
    if at + length > size:
        refuse_truncated(where, at + length, size)
    return Waveform(form[2], length // 2, at)


class WaveReader(WindowReader):
    """Read ``length`` samples of waveforms in a few arks into an int16 array (n, length).

    Use it like ``WindowReader``: a file is mapped at its first use, maps are not pickled, and a
    waveform shorter than ``length`` is repeated until the window is full.
    """

    def _check_out(self, out: np.ndarray) -> None:
        if out.dtype != np.int16 or out.ndim != 2 or not out.flags.c_contiguous:
            raise ValueError("out must be a C-contiguous int16 array (n, length)")

    def _read_one(self, ark: int, offset: int, start: int, out: np.ndarray) -> None:
        buffer = self._map(ark)
        length = len(out)
        try:
            riff, _, _, _, _, form, channels, _, _, _, bits, data, size = _HEADER.unpack_from(
                buffer, offset
            )
            usual = riff == b"RIFF" and data == b"data" and (form, channels, bits) == (1, 1, 16)
            if usual and 0 <= start <= size // 2 - length:
                first = offset + _HEADER.size + 2 * start
                out[:] = np.frombuffer(buffer, SAMPLE, length, first)
                return
        except (ValueError, struct.error):  # beyond the end of the file: the next line explains
            pass
        self._read_unusual(buffer, ark, offset, start, out)

    def _read_unusual(
        self, buffer: mmap.mmap, ark: int, offset: int, start: int, out: np.ndarray
    ) -> None:
        """Read after a longer header, repeat a short waveform, or raise for a damaged entry."""
        path, length = self.paths[ark], len(out)
        found = parse(buffer, offset, path)
        short = found.samples < length
        if not 0 <= start < found.samples or (not short and start + length > found.samples):
            raise IndexError(
                f"{path}: samples {start}:{start + length} of the waveform at byte {offset}, "
                f"which has {found.samples}"
            )
        whole = np.frombuffer(buffer, SAMPLE, found.samples, found.data)
        if short:
            np.take(whole, np.arange(start, start + length) % found.samples, out=out)
        else:
            out[:] = whole[start : start + length]
