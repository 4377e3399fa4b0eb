"""Kaldi's two-column text files, read with line numbers so that messages can name the line.

This module imports only the standard library. So the validators start at once, on any Python.
"""

import operator
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sv.errors import InputError
from sv.kaldi.ids import first_invisible
from sv.text import MARK, MISSING, clean, open_binary

SHOWN_CHARACTERS = 120
EXPECTED = "<id> <value>"


@dataclass
class Table:
    """Lines ``<key> <value>``: ``keys[i]`` and ``values[i]`` stand in line ``i + 1``."""

    path: Path
    text: bytes
    keys: list[str]
    values: list[str]

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file, for messages."""
        return self.text.decode().split("\n")

    def as_dict(self) -> dict[str, str]:
        """Return ``{key: value}``; a repeated key has its last value."""
        return dict(zip(self.keys, self.values, strict=True))

    def at(self, index: int) -> str:
        """Return ``file:line: 'the line'`` for a message."""
        return f"{self.path}:{index + 1}: '{shorten(self.lines[index])}'"


def shorten(line: str) -> str:
    """Return a line cut for a message, with its control characters made visible."""
    text = line.replace("\r", "\\r").replace("\t", "\\t").replace("\ufeff", "\\ufeff")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def read_table(path: str | os.PathLike, missing: str = ": no such file") -> Table:
    """Return the file as a table; a line without a value gets an empty value.

    Only ASCII blanks separate, as in Kaldi. Blanks at the end of a line are not part of the value.

    Raises:
        InputError: the file is missing or empty, or no UTF-8 text (see ``sv.text``).
    """
    with open_binary(path, missing) as handle:
        data = clean(handle.read(), path).rstrip()
    if not data:
        raise InputError(f"{path}: is empty")
    keys, values = [], []
    for line in data.split(b"\n"):  # no list of pairs: a million tuples slow the collector
        pair = line.split(None, 1)
        keys.append(pair[0] if pair else b"")
        values.append(pair[1].rstrip() if len(pair) == 2 else b"")
    return Table(Path(path), data, _decoded(keys), _decoded(values))


def _decoded(fields: list[bytes]) -> list[str]:
    """Decode all fields in one call, which is several times faster than one call for each."""
    return b"\n".join(fields).decode().split("\n")


def read_dict(
    path: str | os.PathLike,
    missing: str = MISSING,
    *,
    expected: str = EXPECTED,
    one_word: bool = False,
) -> dict[str, str]:
    """Return ``{key: value}`` of a file of lines ``<key> <value>``, in the order of the file.

    Use ``sv.kaldi.columns`` for millions of lines.

    Args:
        path: the file.
        missing: what follows the path in the message if there is no such file.
        expected: what a line should be, for messages.
        one_word: refuse values of several words.

    Raises:
        InputError: see ``read_table``; or a line has no value (or, with ``one_word``, several
            words), or a key occurs twice or has an invisible character.
    """
    table = read_table(path, missing)
    if "" in table.values:
        index = table.values.index("")
        what = f"{table.keys[index]!r} has no value; expected '{expected}': complete the line, or"
        what = what if table.keys[index] else "the line is empty;"
        raise InputError(f"{path}:{index + 1}: {what} remove it")
    if one_word:
        _refuse_words(table, expected)
        _refuse_invisible(table.path, table.values, "value")
    _refuse_invisible(table.path, table.keys, "id")
    found = table.as_dict()
    if len(found) != len(table.keys):
        first, second = _repeated(table.keys)[0]
        raise InputError(
            f"{path}:{second + 1}: {table.keys[second]!r} is there twice, first in line "
            f"{first + 1}; ids must be unique: remove one of the lines"
        )
    return found


def _repeated(keys: list[str]) -> list[tuple[int, int]]:
    """Return for each repeated key the place where it first occurs, and its own place."""
    first: dict[str, int] = {}
    return [(first[key], i) for i, key in enumerate(keys) if first.setdefault(key, i) != i]


def _refuse_words(table: Table, expected: str) -> None:
    if len("\n".join(table.values).encode().split()) == len(table.values):
        return
    index = next(i for i, value in enumerate(table.values) if len(value.encode().split()) != 1)
    raise InputError(
        f"{table.path}:{index + 1}: {table.keys[index]!r} has more than one value; expected "
        f"'{expected}': correct the line"
    )


def _refuse_invisible(path: Path, words: list[str], what: str) -> None:
    """Raise if a word has an invisible character; word ``i`` stands in line ``i + 1``."""
    found = first_invisible(words)
    if found is not None:
        raise InputError(
            f"{path}:{found[0] + 1}: the {what} {words[found[0]]!a} has an invisible character "
            f"(U+{ord(found[1]):04X}); remove the character"
        )


def form_problems(table: Table) -> list[str]:
    """Return what is wrong with the form of a table: columns, line ends, order, unique keys.

    Our readers accept a byte order mark and Windows line ends; Kaldi's readers do not.
    """
    problems = []
    empty = [i for i, value in enumerate(table.values) if not value]
    if empty:
        problems.append(table.at(empty[0]) + ": is not '<id> <value>'" + more(empty))
    raw = table.path.read_bytes()
    if raw.startswith(MARK):
        problems.append(f"{table.path}:1: has a byte order mark before the first id")
    carriage = []
    if b"\r" in raw:
        carriage = [i for i, line in enumerate(raw.split(b"\n")) if line.endswith(b"\r")]
    if carriage:
        shown = shorten(table.lines[carriage[0]] + "\r" if carriage[0] < len(table.lines) else "\r")
        problems.append(
            f"{table.path}:{carriage[0] + 1}: '{shown}': has a Windows line end" + more(carriage)
        )
    if not raw.endswith(b"\n"):
        problems.append(
            table.at(len(table.lines) - 1) + ": the last line has no line end: cut off?"
        )
    elif raw.rstrip() + b"\n" != raw and not raw.endswith(b"\r\n"):
        problems.append(f"{table.path}: has blanks or empty lines at its end")
    if all(map(operator.lt, table.keys, table.keys[1:])):  # sorted and unique: the usual case
        return problems
    ordered = sorted(table.keys)
    if table.keys != ordered:
        index = next(i for i, key in enumerate(table.keys) if key != ordered[i])
        problems.append(
            table.at(index) + f": is not in sorted order, '{ordered[index]}' comes before it "
            "(C locale: the order of bytes)"
        )
    double = _repeated(table.keys)
    if double:
        first, second = double[0]
        problems.append(
            table.at(second) + f": the id stands in line {first + 1} too" + more(double)
        )
    return problems


def more(found: list) -> str:
    """Return text such as `` (and 3 more)`` for a message that shows only the first of several."""
    return f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
