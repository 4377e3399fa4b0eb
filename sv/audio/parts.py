"""Divides an audio file into parts, each of which libsndfile reads correctly."""

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sv.audio import mpeg_frames
from sv.audio.containers import Samples, find_samples
from sv.audio.ogg_pages import find_streams
from sv.errors import AudioError

AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"
_MP3_ENDINGS = (".mp3", ".mp2", ".mpga")
_SEARCHED = 1 << 20
"""A FLAC file of at most so many bytes is always searched for another one joined to it."""
_STREAMINFO = 42


class Plain(NamedTuple):
    """Samples that soundfile can read without a header.

    ``frames``: samples of each channel; ``span``: first byte and end; ``options`` for soundfile.
    """

    frames: int
    span: tuple[int, int]
    options: dict


class Part(NamedTuple):
    """What libsndfile reads as one file: ``head``, then the ``spans`` of bytes of the file.

    ``plain``: used instead if libsndfile finds another number of samples. ``samples``: the true
    number for each channel, if libsndfile only estimates it and no header can correct that.
    """

    spans: list[tuple[int, int]]
    head: bytes = b""
    plain: Plain | None = None
    samples: int | None = None


def plan(path: Path, descriptor: int, size: int) -> list[Part]:
    """Return the parts in which a file of ``size`` bytes is read.

    Raises:
        AudioError: the file is empty, damaged or truncated, or has a wrong header.
    """
    if size == 0:
        raise AudioError(f"is empty (0 bytes): {AGAIN}")
    head = os.pread(descriptor, 16, 0)
    base = 0
    while head.startswith(b"ID3") and len(head) >= 10 and base < size:
        base += mpeg_frames.id3_size(head)
        head = os.pread(descriptor, 16, base)
    whole = Part([(base, size)])
    if head.startswith(b"OggS"):
        with _mapped(descriptor) as data:
            return [Part(spans) for spans in find_streams(data, base, size)]
    if head.startswith(b"fLaC"):
        return flac_parts(descriptor, base, size)
    plain = find_samples(descriptor, base)
    if plain is not None and plain.mpeg:
        return _mpeg(descriptor, plain.start, plain.stop)
    if plain is not None:
        return [_plain(whole, plain)]
    if path.suffix.lower() in _MP3_ENDINGS or mpeg_frames.parse(head) or base:
        return _mpeg(descriptor, 0, size)
    return [whole]


def flac_parts(descriptor: int, start: int, stop: int, look: bool = False) -> list[Part]:
    """Return the FLAC files that were joined into one, between two bytes of the file.

    libFLAC would read only the first, and may take its last sample from the second. All bytes are
    searched for another beginning if ``look`` is true, if the file is small, or if it has more
    bytes than its samples take uncompressed.
    """
    head = os.pread(descriptor, _STREAMINFO, start)
    number = int.from_bytes(head[18:26], "big")  # 20 bits rate, 3 channels, 5 bits, 36 samples
    samples, channels, bits = (
        number & (1 << 36) - 1,
        (number >> 41 & 7) + 1,
        (number >> 36 & 31) + 1,
    )
    if not look and stop - start > max(_SEARCHED, samples * channels * bits // 8):
        look = True
    places = [start]
    if look or stop - start <= _SEARCHED:
        with _mapped(descriptor) as data:
            places += _flac_beginnings(data, start + 4, stop)
    return [Part([span]) for span in zip(places, [*places[1:], stop], strict=True)]


def _flac_beginnings(data: mmap.mmap, place: int, stop: int) -> Iterator[int]:
    while (place := data.find(b"fLaC", place, stop)) >= 0:
        if data[place + 4 : place + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):  # STREAMINFO
            yield place
        place += 4


def _mpeg(descriptor: int, start: int, stop: int) -> list[Part]:
    with _mapped(descriptor) as data:
        parts = mpeg_frames.find_parts(data, start, stop)
    return [Part(_merged(part.spans), part.head, samples=part.samples) for part in parts]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans, with adjacent ones joined."""
    merged = [spans[0]]
    for start, stop in spans[1:]:
        if start == merged[-1][1]:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def _plain(whole: Part, plain: Samples) -> Part:
    """Return the part of plain samples; if ``raw`` is None, libsndfile is trusted."""
    if plain.raw is None:
        return whole
    frames = (plain.stop - plain.start) // plain.frame
    stop = plain.start + frames * plain.frame
    return whole._replace(plain=Plain(frames, (plain.start, stop), plain.raw))


@contextlib.contextmanager
def _mapped(descriptor: int) -> Iterator[mmap.mmap]:
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        yield data
