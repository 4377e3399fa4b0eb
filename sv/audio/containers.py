"""The length that a container of plain samples states, and the length that the file has.

WAV, RF64, W64, AIFF, AU, CAF and NIST files have the number of bytes in a header before the
samples. That number is wrong beyond 4 GiB, because 32 bits start again at 0. It is also wrong if a
recorder stopped before it could write the number. libsndfile then reads only the part that the
header states.

The two sizes agree if they differ by a multiple of 2^32. Any other difference is an error: nothing
shows whether the header or the file is right, so a person must decide, and may then call `sox
--ignore-length`.
"""

import math
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from sv.errors import Truncated, WrongHeader

WRAP = 1 << 32
UNKNOWN = 1 << 17
"""A program that writes to a pipe leaves a size of 2**31 or 2**32, or up to this much less."""
STRAY_SECONDS = 0.1
"""Unknown bytes, such as tags and padding, may follow the samples for up to this long."""
PADDING = 1 << 26
"""Zero bytes that may follow the samples, because some writers reserve space in advance."""
MAX_CHUNKS = 1000
_AGAIN = "copy or convert it again, or remove it from the list (wav.scp)"

_RIFF_SUBTYPES = {1: {8: "PCM_U8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}}
_RIFF_SUBTYPES |= {3: {32: "FLOAT", 64: "DOUBLE"}, 6: {8: "ALAW"}, 7: {8: "ULAW"}}
_PCM = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
_AU_SUBTYPES = {1: "ULAW", 2: "PCM_S8", 3: "PCM_16", 4: "PCM_24", 5: "PCM_32"}
_AU_SUBTYPES |= {6: "FLOAT", 7: "DOUBLE", 27: "ALAW"}
_WIDTHS = {"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3}
_WIDTHS |= {"PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_NO_TAIL = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"data", b"SSND", b"OggS", b"fLaC")
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
MPEG = 0x55
"""The format tag of MP3 in a WAV file."""


class Samples(NamedTuple):
    """Where the samples lie: bytes from ``start`` to ``stop`` of the file.

    ``raw``: the arguments with which soundfile reads them without a header; None if they are coded.
    ``mpeg``: the samples are MP3.
    """

    start: int
    stop: int
    raw: dict | None
    mpeg: bool = False

    @property
    def frame(self) -> int:
        """Return the bytes of one sample of all channels."""
        return self.raw["channels"] * _WIDTHS[self.raw["subtype"]]


class _Said(NamedTuple):
    """What a header says. ``size``: bytes of samples; None if the header leaves it open."""

    start: int
    size: int | None
    byte_rate: float
    raw: dict | None
    ending: str
    little: bool = True
    mpeg: bool = False


class File:
    """The bytes of an open file from byte ``base`` on."""

    def __init__(self, descriptor: int, base: int = 0):
        self.descriptor, self.base = descriptor, base
        self.size = os.fstat(descriptor).st_size - base

    def read(self, start: int, count: int) -> bytes:
        """Return up to ``count`` bytes that begin at ``start``."""
        return os.pread(self.descriptor, count, self.base + start) if start < self.size else b""


def find_samples(descriptor: int, base: int = 0) -> Samples | None:
    """Return where the samples lie; None if the file is none of these containers.

    Raises:
        Truncated: the header states more samples than the file has.
        WrongHeader: the header states fewer, and the sizes do not agree modulo 2**32.
    """
    file = File(descriptor, base)
    head = file.read(0, 64)
    readers = ((b"RIFF", _riff), (b"RIFX", _riff), (b"RF64", _riff), (b"riff", _wave64))
    readers += ((b"FORM", _aiff), (b".snd", _au), (b"dns.", _au), (b"caff", _caf))
    readers += ((b"NIST_1A", _nist),)
    try:
        said = next((read(file) for mark, read in readers if head.startswith(mark)), None)
    except (struct.error, ValueError, OverflowError, ZeroDivisionError):
        return None  # libsndfile says what is wrong with it
    if said is None:
        return None
    length = _length(file, said)
    return Samples(base + said.start, base + said.start + length, said.raw, said.mpeg)


def _length(file: File, said: _Said) -> int:
    """Return the bytes of samples; raise if the header and the file contradict each other."""
    there = max(0, file.size - said.start)
    if said.size is None:
        return there
    if said.size > there:
        raise Truncated(
            f"is cut off: {_seconds(there, said)} instead of the {_seconds(said.size, said)} in "
            f"its header: {_AGAIN}"
        )
    size = said.size + (there - said.size) // WRAP * WRAP
    readable = size == said.size or said.raw is not None or said.mpeg
    if readable and _may_follow(file, said, size, there):  # coded samples need a correct header
        return size
    remedy = "convert it again"
    if said.ending != "caf":  # sox trusts the header of CAF even with --ignore-length
        remedy = f"write it again with 'sox --ignore-length in.{said.ending} out.wav'"
    raise WrongHeader(
        f"holds {_seconds(there, said)} by its size but {_seconds(said.size, said)} by its header "
        f"(a recorder that was switched off, or files joined?): {remedy} if all of it is audio, or "
        "remove it from the list (wav.scp)"
    )


def _is_unknown(size: int, there: int) -> bool:
    """Tell whether this is the size that a writer to a pipe leaves."""
    return size > there and any(0 <= end - size < UNKNOWN for end in (1 << 31, WRAP))


def _seconds(size: int, said: _Said) -> str:
    return f"{size / said.byte_rate:,.1f} s" if said.byte_rate else f"{size:,} bytes"


def _may_follow(file: File, said: _Said, size: int, there: int) -> bool:
    """Tell whether the bytes after the samples are something else than sound."""
    rest = there - size
    if rest <= (STRAY_SECONDS * said.byte_rate if size else 0):
        return True
    start = said.start + size
    head = file.read(start, 16)
    if head.startswith(_TAGS):
        return True
    if any(_is_chain(file, start + pad, said.little) for pad in (size & 1, 0)):
        return True
    return bool(size) and rest <= PADDING and not any(any(b) for b in _blocks(file, start))


def _blocks(file: File, start: int) -> Iterator[bytes]:
    while block := file.read(start, 1 << 20):
        yield block
        start += len(block)


def _is_chain(file: File, start: int, little: bool) -> bool:
    """Tell whether chunks follow each other from ``start`` to the end of the file."""
    for _ in range(MAX_CHUNKS):
        head = file.read(start, 8)
        name = head[:4]
        if len(head) < 8:
            return not head.strip(b"\0")
        if name in _NO_TAIL or not all(32 <= byte < 127 for byte in name):
            return False
        size = int.from_bytes(head[4:], "little" if little else "big")
        if start + 8 + size >= file.size:
            return start + 8 + size == file.size or name in (b"LIST", b"id3 ", b"ID3 ")
        start = _next_chunk(file, start + 8 + size, size)
    return False


def _next_chunk(file: File, end: int, size: int) -> int:
    """Return where the next chunk begins; some writers omit the byte that pads an odd chunk."""
    if size & 1 and file.read(end, 1) == b"\0":
        return end + 1
    padded = file.read(end + 1, 4)
    name = file.read(end, 4)
    if size & 1 and _is_name(padded) and not _is_name(name):
        return end + 1
    return end


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _chunks(file: File, start: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, first byte of its content, size) of the chunks of RIFF and AIFF."""
    for _ in range(MAX_CHUNKS):
        head = file.read(start, 8)
        if len(head) < 8:
            return
        size = struct.unpack(f"{order}I", head[4:])[0]
        yield head[:4], start + 8, size
        start = _next_chunk(file, start + 8 + size, size)


def _raw(rate: int, channels: int, subtype: str | None, big: bool) -> tuple[dict | None, float]:
    """Return the arguments for reading without a header, and the bytes a second."""
    if subtype is None or not rate or not channels:
        return None, 0.0
    raw = {"format": "RAW", "samplerate": rate, "channels": channels, "subtype": subtype}
    return raw | {"endian": "BIG" if big else "LITTLE"}, rate * channels * _WIDTHS[subtype]


def _riff(file: File) -> _Said | None:
    big = file.read(0, 4) == b"RIFX"
    order, large, form = ">" if big else "<", None, None
    if file.read(8, 4) != b"WAVE":
        return None
    for name, start, size in _chunks(file, 12, order):
        if name == b"ds64":
            large = struct.unpack("<QQ", file.read(start, 16))[1]
        elif name == b"fmt ":
            form = file.read(start, min(size, 40))
        elif name == b"data" and form is not None:
            return _riff_data(file, form, start, size, large, big)
    return None


def _riff_data(
    file: File, form: bytes, start: int, size: int, large: int | None, big: bool
) -> _Said:
    order = ">" if big else "<"
    tag, channels, rate, byte_rate, frame, bits = struct.unpack(f"{order}HHIIHH", form[:16])
    if tag == 0xFFFE and len(form) >= 26:
        tag = struct.unpack(f"{order}H", form[24:26])[0]
    raw, exact = _raw(rate, channels, _RIFF_SUBTYPES.get(tag, {}).get(bits), big)
    if frame * 8 != channels * bits:
        raw = None
        _refuse_padded(tag, channels, frame, bits)
    said: int | None = size
    if large is not None and size >= WRAP - 1:
        said = large
    elif size == WRAP - 1 or _is_unknown(size, file.size - start):
        said = None
    return _Said(start, said, exact or byte_rate, raw, "wav", not big, tag == MPEG)


def _refuse_padded(tag: int, channels: int, frame: int, bits: int) -> None:
    """Raise for samples such as 24 bits in 4 bytes, which libsndfile would read as noise.

    With 8, 16 or 32 bits a wrong frame size is only a mistake in the header: the samples are right.
    """
    odd = tag in _RIFF_SUBTYPES and bits not in (8, 16, 32, 64)
    if odd and channels and frame > channels * math.ceil(bits / 8):
        raise WrongHeader(
            f"has samples of {bits} bits that take {frame / channels:g} bytes each by its header: "
            "write it again with 16 bits by the program that made it, or remove it from the list "
            "(wav.scp)"
        )


def _wave64(file: File) -> _Said | None:
    start, form = 40, None
    for _ in range(MAX_CHUNKS):
        head = file.read(start, 24)
        if len(head) < 24:
            return None
        size = struct.unpack("<Q", head[16:])[0]
        if head[:4] == b"fmt ":
            form = file.read(start + 24, min(size, 40))
        elif head[:4] == b"data" and form is not None:
            said = _riff_data(file, form, start + 24, 0, None, False)
            return said._replace(size=None if size >> 62 else max(0, size - 24), ending="w64")
        start += max(24, (size + 7) // 8 * 8)
    return None


def _aiff(file: File) -> _Said | None:
    common = None
    if file.read(8, 4) not in (b"AIFF", b"AIFC"):
        return None
    for name, start, size in _chunks(file, 12, ">"):
        if name == b"COMM":
            common = file.read(start, min(size, 32))
        elif name == b"SSND" and common is not None:
            return _aiff_data(file, common, start, size)
    return None


def _aiff_data(file: File, common: bytes, start: int, size: int) -> _Said:
    channels, _, bits = struct.unpack(">HIH", common[:8])
    exponent, mantissa = struct.unpack(">HQ", common[8:18])
    rate = round(math.ldexp(mantissa, exponent - 16383 - 63))
    kind = common[18:22]
    coded = {b"": "", b"NONE": "", b"twos": "", b"sowt": "", b"fl32": "FLOAT", b"FL32": "FLOAT"}
    coded |= {b"fl64": "DOUBLE", b"FL64": "DOUBLE", b"ulaw": "ULAW", b"alaw": "ALAW"}
    subtype = coded.get(kind, None)
    raw, byte_rate = _raw(rate, channels, _PCM.get(bits) if subtype == "" else subtype, True)
    if raw and kind == b"sowt":
        raw["endian"] = "LITTLE"
    offset = struct.unpack(">I", file.read(start, 4))[0]
    said: int | None = size - 8 - offset
    if said < 0:
        said = said % WRAP if file.size > WRAP else 0
    elif _is_unknown(size, file.size - start):
        said = None
    return _Said(start + 8 + offset, said, byte_rate, raw, "aiff", False)


def _au(file: File) -> _Said:
    big = file.read(0, 4) == b".snd"
    head = file.read(4, 20)
    start, size, coding, rate, channels = struct.unpack(">5I" if big else "<5I", head)
    raw, byte_rate = _raw(rate, channels, _AU_SUBTYPES.get(coding), big)
    return _Said(start, None if size == WRAP - 1 else size, byte_rate, raw, "au", not big)


def _caf(file: File) -> _Said | None:
    start, form = 8, None
    for _ in range(MAX_CHUNKS):
        head = file.read(start, 12)
        if len(head) < 12:
            return None
        size = struct.unpack(">q", head[4:])[0]
        if head[:4] == b"desc":
            form = struct.unpack(">d4sIIIII", file.read(start + 12, 32))
        elif head[:4] == b"data" and form is not None:
            rate, kind, flags, _, _, channels, bits = form
            plain = (_PCM, {32: "FLOAT", 64: "DOUBLE"})[flags & 1].get(bits)
            subtype = {b"lpcm": plain, b"ulaw": "ULAW", b"alaw": "ALAW"}.get(kind)
            raw, byte_rate = _raw(round(rate), channels, subtype, not flags & 2)
            said = None if size == -1 else max(0, size - 4)
            return _Said(start + 16, said, byte_rate, raw, "caf", False)
        start += 12 + max(0, size)
    return None


def _nist(file: File) -> _Said | None:
    start = int(file.read(8, 8))
    fields: dict[str, str] = {}
    for line in file.read(16, min(start, 1 << 16)).decode("latin-1").split("\n"):
        name, _, value = line.strip().partition(" ")
        if name == "end_head":
            break
        fields[name] = value.partition(" ")[2]
    coding, width = fields.get("sample_coding", "pcm"), int(fields["sample_n_bytes"])
    subtype = {"pcm": _PCM.get(8 * width), "ulaw": "ULAW", "alaw": "ALAW"}.get(coding)
    if subtype is None:
        return None
    channels, rate = int(fields.get("channel_count", 1)), int(fields["sample_rate"])
    big = fields.get("sample_byte_format", "10") == "10"
    raw, byte_rate = _raw(rate, channels, subtype, big)
    return _Said(start, int(fields["sample_count"]) * channels * width, byte_rate, raw, "sph")
