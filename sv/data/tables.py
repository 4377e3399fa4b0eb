"""Kaldi's two-column text files, read with line numbers so that complaints can name the line.

Nothing but the standard library: the validators start at once, on any Python.
"""

import operator
from dataclasses import dataclass
from pathlib import Path

from sv.errors import InputError

SHOWN_CHARACTERS = 120


@dataclass
class Table:
    """Lines ``<key> <value>``: ``keys[i]`` and ``values[i]`` stand in line ``i + 1``."""

    path: Path
    lines: list[str]
    keys: list[str]
    values: list[str]

    def as_dict(self) -> dict[str, str]:
        """Return ``{key: value}``; of a repeated key the last."""
        return dict(zip(self.keys, self.values, strict=True))

    def at(self, index: int) -> str:
        """Return ``file:line: 'the line'`` for a message."""
        return f"{self.path}:{index + 1}: '{shorten(self.lines[index])}'"


def shorten(line: str) -> str:
    """Return a line short enough for a message, its control characters made visible."""
    text = line.replace("\r", "\\r").replace("\t", "\\t")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def read_lines(path: Path) -> list[str]:
    """Return the lines without their ends.

    Raises:
        InputError: the file is missing, empty, or not UTF-8 text.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text") from error
    if not text.strip():
        raise InputError(f"{path}: is empty")
    return text.removesuffix("\n").split("\n")


def read_table(path: Path) -> Table:
    """Return the file as a table; a line without a value gets an empty one.

    Raises:
        InputError: see ``read_lines``.
    """
    lines = read_lines(path)
    keys, values = [], []
    for line in lines:  # not a list of pairs: a million live lists would keep the collector busy
        pair = line.split(None, 1)
        keys.append(pair[0] if pair else "")
        values.append(pair[1] if len(pair) == 2 else "")
    return Table(path, lines, keys, values)


def form_problems(table: Table) -> list[str]:
    """Return what is wrong with the form of a table: columns, line ends, order, unique keys."""
    problems = []
    empty = [i for i, value in enumerate(table.values) if not value]
    if empty:
        problems.append(table.at(empty[0]) + ": is not '<id> <value>'" + more(empty))
    carriage = [i for i, line in enumerate(table.lines) if line.endswith("\r")]
    if carriage:
        problems.append(table.at(carriage[0]) + ": has a Windows line end" + more(carriage))
    with table.path.open("rb") as handle:
        handle.seek(-1, 2)
        if handle.read(1) != b"\n":
            problems.append(
                table.at(len(table.lines) - 1) + ": the last line has no line end: cut off?"
            )
    if all(map(operator.lt, table.keys, table.keys[1:])):  # sorted and unique: the usual case
        return problems
    ordered = sorted(table.keys)
    if table.keys != ordered:
        index = next(i for i, key in enumerate(table.keys) if key != ordered[i])
        problems.append(
            table.at(index) + f": is not in sorted order, '{ordered[index]}' comes before it "
            "(C locale: the order of bytes)"
        )
    if len(set(table.keys)) != len(table.keys):
        first: dict[str, int] = {}
        double = [i for i, key in enumerate(table.keys) if first.setdefault(key, i) != i]
        where = first[table.keys[double[0]]] + 1
        problems.append(table.at(double[0]) + f": the id stands in line {where} too" + more(double))
    return problems


def more(found: list) -> str:
    """Return `` (and 3 more)`` for the messages that show only the first of several."""
    return f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
