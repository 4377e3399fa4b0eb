"""The binary objects inside Kaldi's ark files: headers, bounds, decoding of rows.

Only ``arks`` and ``windows`` use this module. It accepts float and double vectors and matrices,
plain or compressed, and refuses everything else with a plain message.
"""

import mmap
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from sv.errors import InputError, stage_that_makes
from sv.kaldi import compression

PLAIN_TYPES = {"F": np.dtype("<f4"), "D": np.dtype("<f8")}
_FOREIGN = {  # what other writers put after the key instead of Kaldi's binary mark
    b"PKL": "a Python pickle, which would run code when read; it is refused",
    b"NPY": "a NumPy array of kaldiio, which Kaldi does not know",
    b"AUDIO": "audio in kaldiio's format, not a matrix",
    b"RIFF": "a WAV file, not a matrix",
}
_HEADER_BYTES = 64


class Header(NamedTuple):
    """What the first bytes of an object say. ``data``: offset of what follows the header.

    ``minimum`` and ``span`` are 0 unless the object is compressed. A vector has ``rows = 1``.
    """

    kind: str
    rows: int
    cols: int
    data: int
    end: int
    minimum: float
    span: float


def map_file(path: str | os.PathLike) -> mmap.mmap:
    """Return a read-only map of a file; it closes with the last array that looks into it.

    If another file is renamed over this one, as this toolkit does, the map still shows the old
    file. If a mapped file is shortened in place, reading the lost part kills the process.

    Raises:
        InputError: the file is missing, a folder, or empty.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise InputError(f"{path} is no regular file (a pipe or a device?); copy it to a file")
        with Path(path).open("rb") as handle:
            return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not an ark file") from None
    except ValueError:
        remedy = f"run the stage that writes it again{stage_that_makes(path)}"
        raise InputError(f"{path} is empty; {remedy}") from None


def _missing(path: str | os.PathLike) -> str:
    if os.path.isabs(path):
        return f"{path} does not exist; run the stage that writes it, or correct the scp"
    return (
        f"{path} does not exist, neither from the current folder {os.getcwd()} on nor from a "
        "folder above the scp that names it: call the program from the folder in which the scp "
        "was written, write absolute paths into the scp, or run the stage that writes the ark"
    )


def parse_header(buffer, offset: int, where: str) -> Header:
    """Read the header of the object at ``offset`` of ``buffer`` (bytes or mmap).

    Raises:
        InputError: not a Kaldi binary object, or cut short; the message begins with ``where``.
    """
    size = len(buffer)
    head = bytes(buffer[offset : offset + _HEADER_BYTES])
    if head[:2] != b"\0B":
        _refuse(head, offset, size, where)
    try:
        token, blank, _ = head[2:7].partition(b" ")
        if not blank and len(head) < 7:
            refuse_truncated(where, offset + 7, size)
        kind = token.decode("ascii", "replace")
        at = 2 + len(token) + 1
        if kind in compression.LEVELS:
            minimum, span, rows, cols = compression.GLOBAL_HEADER.unpack_from(head, at)
            at += compression.GLOBAL_HEADER.size
            body = rows * cols * compression.VALUE_TYPES[kind].itemsize
            if kind == "CM":
                body += 8 * cols
        elif kind in ("FM", "DM"):
            four, rows, other, cols = struct.unpack_from("<bibi", head, at)
            if (four, other) != (4, 4):
                raise InputError(f"{where}: damaged matrix header at byte {offset}")
            at, minimum, span = at + 10, 0.0, 0.0
            body = rows * cols * PLAIN_TYPES[kind[0]].itemsize
        elif kind in ("FV", "DV"):
            four, cols = struct.unpack_from("<bi", head, at)
            if four != 4:
                raise InputError(f"{where}: damaged vector header at byte {offset}")
            at, rows, minimum, span = at + 5, 1, 0.0, 0.0
            body = cols * PLAIN_TYPES[kind[0]].itemsize
        else:
            raise InputError(
                f"{where}: unknown object {kind!r} at byte {offset}; known are float and double "
                "vectors and matrices, plain (FV DV FM DM) or compressed (CM CM2 CM3)"
            )
    except struct.error:
        refuse_truncated(where, offset + at + 16, size)
    if rows < 0 or cols < 0:
        raise InputError(f"{where}: damaged header at byte {offset} ({rows} x {cols})")
    end = offset + at + body
    if end > size:
        refuse_truncated(where, end, size)
    return Header(kind, rows, cols, offset + at, end, minimum, span)


def _refuse(head: bytes, offset: int, size: int, where: str) -> NoReturn:
    """Raise ``InputError`` that says why an entry that begins with ``head`` is no Kaldi object."""
    if offset + 2 > size:
        refuse_truncated(where, offset + 2, size)
    for mark, what in _FOREIGN.items():
        if head.startswith(mark):
            raise InputError(f"{where}: the entry at byte {offset} is {what}")
    if head.lstrip().startswith(b"["):
        raise InputError(
            f"{where}: the entry at byte {offset} is a text matrix; write it in binary form "
            "(Kaldi: copy-feats ark,t:old.ark ark:new.ark)"
        )
    raise InputError(
        f"{where}: no Kaldi object at byte {offset}; the offset in the scp does not fit this "
        "ark (was the ark written again later?) or it is not an ark"
    )


def refuse_truncated(where: str, needed: int, size: int) -> NoReturn:
    """Raise for a file that ends inside an entry."""
    raise InputError(
        f"{where}: the ark is truncated: an entry needs {needed} bytes, the file has {size}; "
        "write it again (was the disk full?)"
    )


def decode_rows(buffer, header: Header, start: int, stop: int) -> np.ndarray:
    """Return rows ``start:stop`` of the object as a new float32 array (rows, cols)."""
    kind, cols, count = header.kind, header.cols, stop - start
    if not count * cols:
        return np.empty((count, cols), np.float32)
    if kind[0] != "C":
        dtype = PLAIN_TYPES[kind[0]]
        first = header.data + start * cols * dtype.itemsize
        return (
            np.frombuffer(buffer, dtype, count * cols, first)
            .reshape(count, cols)
            .astype(np.float32)
        )
    if kind == "CM":
        out = np.empty((count, cols), np.float32)
        body = np.frombuffer(buffer, np.uint8, (8 + header.rows) * cols, header.data)
        compression.decode_columns(body, header.minimum, header.span, header.rows, out, start)
        return out
    dtype = compression.VALUE_TYPES[kind]
    first = header.data + start * cols * dtype.itemsize
    values = (
        np.frombuffer(buffer, dtype, count * cols, first).reshape(count, cols).astype(np.float32)
    )
    values *= np.float32(header.span / compression.LEVELS[kind])
    values += np.float32(header.minimum)
    return values
