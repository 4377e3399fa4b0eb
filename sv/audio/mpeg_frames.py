"""Counts the frames of an MP3 file, because its header may be absent or wrong.

Without a Xing header a decoder estimates the length from the first frames. A Xing header counts
the frames of one file, even if several files were joined. So this module visits every frame. It
skips tags and pictures between frames, and puts a header with the right count before the frames;
libsndfile then decodes all of them. Counting is about thirty times as fast as decoding.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sv.errors import AudioError, Truncated

_BITRATES = {  # kbit/s by (MPEG 1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BITRATES[False, 3] = _BITRATES[False, 2]
_RATES = (44100, 48000, 32000)
_MARKS = (b"Xing", b"Info", b"VBRI")
JUNK, JUNK_BYTES = 0.01, 8192
"""Bytes that may be neither frames nor tags: a share of the file, or this many if that is more."""
HEAD = 4
_AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"


class Header(NamedTuple):
    """The header of a frame. ``length`` in bytes; ``samples`` of each channel.

    ``kind``: version, layer, rate in Hz and mono, which all frames of a file share.
    """

    length: int
    samples: int
    kind: tuple[int, int, int, bool]

    @property
    def rate(self) -> int:
        """Return the sample rate in Hz."""
        return self.kind[2]


class Part(NamedTuple):
    """A stretch that one encoder wrote. ``spans``: bytes of the file; ``head``: put before them.

    ``samples``: samples of each channel, for layers without a header that states the number.
    """

    head: bytes
    spans: list[tuple[int, int]]
    header: Header
    samples: int | None = None


def parse(word: bytes) -> Header | None:
    """Return the header that the first four bytes of a frame hold, or None."""
    if len(word) < HEAD or word[0] != 0xFF or word[1] & 0xE0 != 0xE0:
        return None
    version, layer = word[1] >> 3 & 3, 4 - (word[1] >> 1 & 3)
    bitrate, rate, padding = word[2] >> 4, word[2] >> 2 & 3, word[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _BITRATES[first, layer][bitrate - 1]
    samples = 384 if layer == 1 else 1152 if first or layer == 2 else 576
    length = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz
    length += padding if layer != 1 else 0
    return Header(length, samples, (version, layer, hertz, word[3] >> 6 == 3))


def find_parts(data, start: int, stop: int) -> list[Part]:
    """Return the parts between two bytes of ``data`` (a map of the file, or bytes).

    Raises:
        AudioError: there are no frames, or too many bytes are neither a frame nor a tag.
        Truncated: a Xing header states more frames than there are.
    """
    junk: list[int] = []
    runs = list(_runs(data, start, stop, junk))
    if not runs:
        raise AudioError(f"holds no MP3 frames: {_AGAIN}")
    if sum(junk) > max(JUNK * (stop - start), JUNK_BYTES):
        raise AudioError(
            f"is damaged: {sum(junk):,} of its bytes are no MP3 frames (a copy with holes?): "
            f"{_AGAIN}"
        )
    groups: list[list[_Run]] = []
    for run in runs:
        if not groups or run.info is not None or run.header.kind != groups[-1][0].header.kind:
            groups.append([])
        groups[-1].append(run)
    counts = [sum(run.count for run in group) for group in groups]
    parts = [_part(data, group, counts[place:]) for place, group in enumerate(groups)]
    return [part for part in parts if part is not None]


class _Run(NamedTuple):
    """Frames without a gap; ``info``: the bytes of the Xing frame before them, or None."""

    start: int
    stop: int
    count: int
    header: Header
    info: tuple[int, int] | None


def _runs(data, start: int, stop: int, junk: list[int]) -> Iterator[_Run]:
    """Yield the runs of frames; append to ``junk`` the bytes of each gap that is no tag."""
    known: dict[bytes, Header | None] = {}
    place = start
    while place < stop:
        tag = _tag(data, place, stop)
        if tag:
            place += tag
            continue
        header = _believed(data, place, stop)
        if header is None:
            following = data.find(b"\xff", place + 1, stop)
            following = stop if following < 0 else following
            tagged = [data.find(mark, place + 1, following) for mark in (b"ID3", b"APETAGEX")]
            following = min([following, *(one for one in tagged if one >= 0)])
            junk.append(following - place)
            place = following
            continue
        begin, info, count = place, None, 0
        if _is_info(data, place, header):
            info = (place, place + header.length)
            begin = place = place + header.length
        while place < stop:
            word = bytes(data[place : place + HEAD])
            if word not in known:
                known[word] = parse(word)
            frame = known[word]
            if frame is None or frame.kind != header.kind or place + frame.length > stop:
                break
            if _is_info(data, place, frame):
                break
            place += frame.length
            count += 1
        if count or info:
            yield _Run(begin, place, count, header, info)


def _believed(data, place: int, stop: int) -> Header | None:
    """Return the frame at ``place`` if another one, a tag or the end follows it."""
    header = parse(bytes(data[place : place + HEAD]))
    if header is None:
        return None
    following = place + header.length
    if following >= stop:
        return header if following == stop else None
    other = parse(bytes(data[following : following + HEAD]))
    if (other is not None and other.kind == header.kind) or _tag(data, following, stop):
        return header
    return header if _is_info(data, place, header) or stop - following < HEAD else None


def _tag(data, place: int, stop: int) -> int:
    """Return the size in bytes of the tag that begins here; 0 if there is none."""
    head = bytes(data[place : place + 32])
    if head.startswith(b"ID3") and len(head) >= 10 and all(b < 128 for b in head[6:10]):
        return min(id3_size(head), stop - place)
    if head.startswith(b"TAG"):
        return min(128, stop - place)
    if head.startswith(b"APETAGEX") and len(head) >= 24:
        size, flags = struct.unpack("<I", head[12:16])[0], struct.unpack("<I", head[20:24])[0]
        return min(32 + (size if flags & 1 << 29 else 0), stop - place)
    if head.startswith(b"LYRICSBEGIN"):
        end = data.find(b"LYRICS200", place, stop)
        return end + 9 - place if end >= 0 else stop - place
    return 0


def id3_size(head: bytes) -> int:
    """Return the size in bytes of an ID3v2 tag whose first ten bytes are ``head``."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _info_offset(header: Header) -> int:
    """Return the offset of a Xing header in a frame of layer III: after the side information."""
    version, _, _, mono = header.kind
    if version == 3:
        return HEAD + (17 if mono else 32)
    return HEAD + (9 if mono else 17)


def _is_info(data, place: int, header: Header) -> bool:
    if header.kind[1] != 3:
        return False
    offset = place + _info_offset(header)
    return bytes(data[offset : offset + 4]) in _MARKS[:2] or (
        bytes(data[place + 36 : place + 40]) == _MARKS[2]
    )


def _promised(frame: bytes, header: Header) -> tuple[int | None, int | None]:
    """Return (frames, bytes) that a Xing or VBRI header states; None for a number it lacks."""
    if frame[36:40] == _MARKS[2]:
        size, frames = struct.unpack(">II", frame[46:54])
        return frames, size
    offset = _info_offset(header) + 4
    if len(frame) < offset + 12:
        return None, None
    flags, first, second = struct.unpack(">III", frame[offset : offset + 12])
    frames = first if flags & 1 else None
    size = (second if flags & 1 else first) if flags & 2 else None
    return frames, size


def _part(data, runs: list[_Run], counts: list[int]) -> Part | None:
    """Return the part of ``runs``; ``counts``: the frames of this part and of all that follow."""
    count = counts[0]
    spans = [(run.start, run.stop) for run in runs if run.count]
    header, info = runs[0].header, runs[0].info
    if info is not None:
        frames, size = _promised(bytes(data[info[0] : info[1]]), header)
        there = runs[-1].stop - info[0]
        of_all = frames is not None and abs(frames - sum(counts)) <= len(counts)
        if frames is not None and count < frames and (size is None or there < size) and not of_all:
            raise Truncated(f"is cut off: {count} MP3 frames instead of {frames}: {_AGAIN}")
        truthful = bytes(data[info[0] + 36 : info[0] + 40]) != _MARKS[2] and frames == count
        if truthful:
            return Part(b"", [info, *spans], header)
    if not count:
        return None
    if header.kind[1] != 3:
        return Part(b"", spans, header, count * header.samples)
    return Part(_made_header(bytes(data[spans[0][0] : spans[0][0] + HEAD]), count), spans, header)


def _made_header(word: bytes, count: int) -> bytes:
    """Return a frame of layer III that says how many frames follow."""
    for bitrate in range(1, 15):  # the first one whose frame has room for the header
        head = bytes([word[0], word[1] | 1, bitrate << 4 | word[2] & 0x0C, word[3]])
        header = parse(head)
        offset = _info_offset(header)
        if header.length >= offset + 120 + 36:
            break
    body = b"Xing" + struct.pack(">II", 1, count)
    return (head + bytes(offset - HEAD) + body).ljust(header.length, b"\0")
