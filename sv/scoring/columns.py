"""Read text files of two or three columns whose ids repeat: trial lists and score files.

The ids become numbers while the file is read block by block, so that a list of a million trials
costs a few arrays and one string per distinct utterance, not three strings per line.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sv.errors import InputError

BLOCK_BYTES = 1 << 22
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEWLINE, SPACE = 10, 32


class Numbering(dict):
    """Map each new key to the next number: 0, 1, 2, ... in the order of first sight."""

    def __missing__(self, key: bytes) -> int:
        self[key] = number = len(self)
        return number

    def numbers(self, keys: list[bytes]) -> np.ndarray:
        """Return the numbers (n,) int32 of ``keys``."""
        return np.fromiter(map(self.__getitem__, keys), dtype=np.int32, count=len(keys))

    def names(self, path: Path) -> list[str]:
        """Return the keys as text, in order."""
        try:
            return [key.decode("utf-8") for key in self]
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: an id is not UTF-8 text ({error.object!r}); "
                "convert the file, for example with iconv -t utf-8"
            ) from error


def read_columns(path: str | Path, allowed: tuple[int, ...], expected: str) -> Iterator[list]:
    """Yield the columns of one block of lines after another, each a list of bytes.

    Empty lines are skipped. The first line fixes the number of columns, which must be one of
    ``allowed``; ``expected`` says in words what a line should hold. Raises ``InputError`` for a
    line of another width (with its number) and for a file without any line.
    """
    path = Path(path)
    width, first = 0, 1
    for block in _blocks(path):
        width = width or len(block.lstrip().partition(b"\n")[0].split())
        if width not in allowed and width:
            _refuse(path, first, block, 0, expected)
        fields = block.split()
        if fields and not _regular(block, len(fields), width):
            fields = _split_lines(path, first, block, width, expected)
        if fields:
            yield [fields[column::width] for column in range(width)]
        first += block.count(b"\n")
    if not width:
        raise InputError(f"{path}: the file is empty; expected lines of {expected}")


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield pieces of a few megabytes that end at the end of a line."""
    with path.open("rb") as handle:
        start = True
        while block := handle.read(BLOCK_BYTES) + handle.readline():
            if start:
                block, start = block.removeprefix(BYTE_ORDER_MARK), False
            yield block if block.endswith(b"\n") else block + b"\n"


def _regular(block: bytes, fields: int, width: int) -> bool:
    """Return whether every line of ``block`` has exactly ``width`` fields, without a loop."""
    codes = np.frombuffer(block, dtype=np.uint8)
    line_ends = np.flatnonzero(codes == NEWLINE)
    if fields != width * len(line_ends):
        return False
    blank = codes <= SPACE
    field_ends = np.flatnonzero(blank[1:] & ~blank[:-1]) + 1
    if len(field_ends) != fields:
        return False
    table = field_ends.reshape(-1, width)
    return bool(np.all(table[:, -1] <= line_ends) and np.all(table[1:, 0] > line_ends[:-1]))


def _split_lines(path: Path, first: int, block: bytes, width: int, expected: str) -> list[bytes]:
    """Split a block that has empty lines, or refuse it."""
    _refuse(path, first, block, width, expected)
    return block.split()


def _refuse(path: Path, first: int, block: bytes, width: int, expected: str) -> None:
    """Raise ``InputError`` for the first filled line whose number of fields is not ``width``."""
    for number, line in enumerate(block.splitlines(), start=first):
        row = line.split()
        if row and len(row) != width:
            text = b" ".join(row)[:80].decode("utf-8", "replace")
            raise InputError(
                f"{path}: line {number} has {len(row)} columns ({text!r}); "
                f"expected {expected}; ids may not contain spaces"
            )


def line_number(path: str | Path, row: int) -> int:
    """Return the line number (from 1) of filled line ``row`` (from 0): only for messages."""
    with Path(path).open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                if row == 0:
                    return number
                row -= 1
    return 0
