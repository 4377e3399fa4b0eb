"""Compares the size of a corpus with its published size."""

from collections.abc import Mapping
from pathlib import Path

from sv.errors import InputError
from sv.kaldi.tables import read_table
from sv.numbers import to_int

Counts = Mapping[str, tuple[int, ...]]
"""Name of a part → its counts, e.g. (speakers, utterances)."""


def expected_counts(option: str, published: Counts) -> dict[str, tuple[int, ...]]:
    """Return the counts to check. ``option``: "published", "any" (no check), or the path of a file.

    The file has lines ``<name> <count> ...``.

    Raises:
        InputError: the file is missing or malformed, or names an unknown part.
    """
    if option == "published":
        return dict(published)
    if option == "any":
        return {}
    table, counts = read_table(Path(option)), {}
    for index, (name, value) in enumerate(zip(table.keys, table.values, strict=True)):
        if name not in published:
            raise InputError(f"{table.at(index)}: no such part; known: {', '.join(published)}")
        try:
            counts[name] = tuple(map(to_int, value.split()))
        except ValueError:
            raise InputError(f"{table.at(index)}: is not '<name> <count> ...'") from None
        if len(counts[name]) != len(published[name]):
            raise InputError(
                f"{table.at(index)}: {name} needs {len(published[name])} counts, as published: "
                f"{' '.join(map(str, published[name]))}"
            )
    return counts


def check_counts(
    what: str, name: str, found: tuple[int, ...], expected: Counts, units: str
) -> None:
    """Raise ``InputError`` if the counts of part ``name`` differ from the expected ones.

    ``what``: the file or folder that was counted; ``units``: e.g. "speakers, utterances".
    """
    if name not in expected or expected[name] == found:
        return

    def text(counts: tuple[int, ...]) -> str:
        return ", ".join(f"{n:,} {u}" for n, u in zip(counts, units.split(", "), strict=True))

    raise InputError(
        f"{what}: {name} has {text(found)}, where {text(expected[name])} are expected: is the copy "
        "complete, and without other files? Complete it, or accept what is there with "
        "--counts any (figures are then not comparable with published ones), or give a file with "
        "other counts"
    )
