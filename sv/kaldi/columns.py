"""Reads long text files block by block: trial lists, score files, the lists of a training set.

Repeated ids become numbers while the file is read. So a list of a million trials takes a few
arrays and one string for each distinct utterance, not three strings for each line. For files with
one value for each id there is the simpler, slower ``sv.kaldi.tables.read_dict``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sv.errors import InputError
from sv.kaldi.ids import MAX_ID, first_invisible
from sv.text import BLOCK_BYTES, blocks

NEWLINE, SPACE = 10, 32


class Numbering(dict):
    """Map each new key to the next number: 0, 1, 2, ... in the order in which keys first occur."""

    def __missing__(self, key: bytes) -> int:
        self[key] = number = len(self)
        return number

    def numbers(self, keys: list[bytes]) -> np.ndarray:
        """Return the numbers (n,) int32 of ``keys``."""
        return np.fromiter(map(self.__getitem__, keys), dtype=np.int32, count=len(keys))

    def names(self, path: str | Path, any_character: bool = False) -> list[str]:
        """Return the keys as text, in order.

        ``any_character``: keys may have invisible characters, as names of files may.

        Raises:
            InputError: a key has an invisible character; the message names its line in ``path``.
        """
        names = [key.decode("utf-8") for key in self]
        found = None if any_character else first_invisible(names)
        if found is not None:
            place, odd = found
            raise InputError(
                f"{path}: line {_line_with(path, names[place].encode())}: the id {names[place]!a} "
                f"has an invisible character (U+{ord(odd):04X}); remove the character"
            )
        return names


def read_columns(path: str | Path, allowed: tuple[int, ...], expected: str) -> Iterator[list]:
    """Yield for each block of lines its columns, each a list of bytes.

    Empty lines are skipped. The first line sets the number of columns, which must be one of
    ``allowed``. ``expected`` says in words what a line should hold.

    Raises:
        InputError: a line has another number of columns (the message gives the line number), the
            file has no line, or is no UTF-8 text (see ``sv.text``).
    """
    path = Path(path)
    width = 0
    for first, block in blocks(path, size=BLOCK_BYTES):
        width = width or len(block.lstrip().partition(b"\n")[0].split())
        if width not in allowed:
            _refuse(path, first, block, 0, expected)
        fields = block.split()
        if not _regular(block, len(fields), width):
            fields = _split_lines(path, first, block, width, expected)
        yield [fields[column::width] for column in range(width)]
    if not width:
        raise InputError(f"{path}: the file is empty; expected lines of {expected}")


def read_pairs(path: str | Path, missing: str) -> Iterator[tuple[int, list[list[bytes]]]]:
    """Yield for each block of lines the number of its first line, and its pairs of id and value.

    ``missing``: what follows the path in the message if there is no such file.

    Raises:
        InputError: a line is no pair, an id has more than ``MAX_ID`` bytes, or the file is no
            UTF-8 text (see ``sv.text``).
    """
    for first, block in blocks(path, missing, BLOCK_BYTES // 2):
        pairs = [line.split(None, 1) for line in block[:-1].split(b"\n")]
        if set(map(len, pairs)) != {2}:
            bad = next(place for place, pair in enumerate(pairs) if len(pair) != 2)
            raise InputError(f"{path}, line {first + bad}: expected an id and a value")
        if len(max(pairs, key=_id_length)[0]) > MAX_ID:  # arrays are as wide as the longest id
            raise InputError(f"{path}: an id near line {first} is longer than {MAX_ID} bytes")
        yield first, pairs


def _id_length(pair: list[bytes]) -> int:
    return len(pair[0])


def read_floats(texts: list[bytes]) -> np.ndarray | None:
    """Return the numbers (n,) float64 that ``texts`` write, or None if one text is no number.

    The rules are those of ``sv.numbers.to_float``; this function is a hundred times faster.
    """
    if b"_" in b"".join(texts):  # Python reads 1_0.5 as 10.5
        return None
    try:
        values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        return None
    large = np.flatnonzero(np.isinf(values))
    return None if any(texts[row][-1:].isdigit() for row in large) else values


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
    """Split a block that has empty lines; raise if a filled line has another width."""
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


def _line_with(path: str | Path, word: bytes) -> int:
    """Return the number (from 1) of the first line that has ``word`` in it."""
    with Path(path).open("rb") as handle:
        return next((number for number, line in enumerate(handle, 1) if word in line), 0)


def line_number(path: str | Path, row: int) -> int:
    """Return the line number (from 1) of filled line ``row`` (from 0); slow, for messages only."""
    with Path(path).open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                if row == 0:
                    return number
                row -= 1
    return 0
