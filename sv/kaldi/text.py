"""Text vectors and matrices in arks, as Kaldi writes them with ``ark,t:``.

A vector is ``[ 1 2.5 ]`` on one line. A matrix has a line for each row after the bracket. kaldiio
reads both, too. But if the first value has no point, it reads all values as integers. Kaldi writes
0 and 1 without a point, so kaldiio then fails at the first value that has one.
"""

from typing import NamedTuple, NoReturn

import numpy as np

from sv.errors import InputError

_BLANKS = b" \t\r\n"
_SHOWN = 40


class TextEntry(NamedTuple):
    """An entry that was read. ``end``: offset of the line after the one with the last bracket."""

    array: np.ndarray
    end: int


def is_text(buffer, offset: int) -> bool:
    """Tell whether the entry at ``offset`` of ``buffer`` (bytes or mmap) is text."""
    return bytes(buffer[offset : offset + 64]).lstrip(_BLANKS).startswith(b"[")


def read_text(buffer, offset: int, where: str) -> TextEntry:
    """Read the text vector (dim,) or matrix (rows, cols) at ``offset`` as float32.

    Raises:
        InputError: the closing bracket is missing, a value is no number, rows differ in length, or
            there is no value; the message begins with ``where``.
    """
    first = buffer.find(b"[", offset) + 1
    last = buffer.find(b"]", first)
    if last < 0:
        raise InputError(
            f"{where}: the text entry at byte {offset} has no closing bracket; write the ark again "
            "(was the disk full?)"
        )
    lines = bytes(buffer[first:last]).split(b"\n")
    rows = [line.split() for line in lines if line.strip()]
    if not rows:
        _refuse(where, offset, "is empty")
    if any(len(row) != len(rows[0]) for row in rows):
        _refuse(where, offset, "has rows of different length")
    values = np.array([_number(word, where, offset) for row in rows for word in row], np.float64)
    with np.errstate(over="ignore"):
        array = values.astype(np.float32).reshape(len(rows), -1)
    line_end = buffer.find(b"\n", last)
    end = line_end + 1 if line_end >= 0 else len(buffer)
    return TextEntry(array if len(lines) > 1 else array[0], end)


def _number(word: bytes, where: str, offset: int) -> float:
    try:
        if b"_" in word:  # Python's float would read 1_0 as 10
            raise ValueError
        return float(word)
    except ValueError:
        _refuse(where, offset, f"has {word[:_SHOWN].decode('utf-8', 'replace')!r} for a number")


def _refuse(where: str, offset: int, what: str) -> NoReturn:
    raise InputError(f"{where}: the text entry at byte {offset} {what}; write the ark again")
