"""The last frame of a FLAC file: it shows where the samples end, and the header may state less.

libFLAC stops at the number of samples in the header. That number may be wrong if the encoder died,
or if a tool joined or cut files.
"""

import os
import struct

from sv.errors import WrongHeader

_TAIL = 1 << 16
_SHORTEST = 6
_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << power for power in range(8)))
_CRC = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value << 1) ^ (0x107 if _value & 0x80 else 0)
    _CRC[_byte] = _value


def refuse_more(descriptor: int, span: tuple[int, int], samples: int, rate: int) -> None:
    """Raise ``WrongHeader`` if the FLAC file in ``span`` has more samples than its header states.

    ``samples``: the number in the header, at ``rate`` Hz.
    """
    start, stop = span
    info = os.pread(descriptor, 42, start)
    first = _first_frame(descriptor, start, stop)
    block, largest = struct.unpack(">H", info[10:12])[0], int.from_bytes(info[15:18], "big")
    if first is None:
        return
    begin = max(first, stop - _TAIL - 2 * largest)
    data = os.pread(descriptor, stop - begin, begin)
    model = os.pread(descriptor, 4, first)
    place = data.rfind(model[:2])
    while place >= 0:
        end = _end(data[place : place + 16], model, block)
        if end is not None:
            break
        place = data.rfind(model[:2], 0, place + 1)
    if place >= 0 and end > samples:
        raise WrongHeader(
            f"holds {end / rate:,.1f} s by its last frame but {samples / rate:,.1f} s by its "
            "header: write it again with 'ffmpeg -i in.flac out.flac', or remove it from the list "
            "(wav.scp)"
        )


def _first_frame(descriptor: int, start: int, stop: int) -> int | None:
    """Return the first byte after the metadata blocks; None if no frame begins there."""
    place, last = start + 4, False
    while not last and place < stop:
        head = os.pread(descriptor, 4, place)
        if len(head) < 4:
            return None
        last = bool(head[0] & 0x80)
        place += 4 + int.from_bytes(head[1:], "big")
    head = os.pread(descriptor, 2, place)
    return place if head in (b"\xff\xf8", b"\xff\xf9") else None


def _end(head: bytes, model: bytes, block: int) -> int | None:
    """Return the number of samples up to the end of the frame that begins with ``head``.

    None if ``head`` begins no frame. ``model``: the beginning of the first frame, which has the
    same rate and bits. ``block``: samples in each frame if all frames have the same number.
    """
    if len(head) < _SHORTEST or head[2] & 15 != model[2] & 15 or head[3] & 15 != model[3] & 15:
        return None
    more = 0  # bytes of the number after its first one, as in UTF-8
    while more < 7 and head[4] & 0x80 >> more:
        more += 1
    if more == 1:
        return None
    more = max(0, more - 1)
    number = head[4] & (0x7F if not more else 0x3F >> more)
    for byte in head[5 : 5 + more]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    place, size = 5 + more, _BLOCKS[head[2] >> 4]
    width = {6: 1, 7: 2}.get(head[2] >> 4, 0)
    if width:
        size = 1 + int.from_bytes(head[place : place + width], "big")
    place += width + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    check = 0
    for byte in head[:place]:
        check = _CRC[check ^ byte]
    if not size or place >= len(head) or head[place] != check:
        return None
    return number * (1 if head[1] & 1 else block) + size
