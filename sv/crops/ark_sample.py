"""A sample of the entries of arks: an index looks at it before a training relies on all of them."""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sv.kaldi.format import map_file

_SAMPLED_HEADERS = 256


class Entry(NamedTuple):
    """One entry of an ark: ``utterance`` is its place in the index, ``buffer`` the mapped ark."""

    ark: str
    name: str
    utterance: int
    buffer: mmap.mmap
    offset: int

    @property
    def where(self) -> str:
        """How messages of a reader begin."""
        return f"{self.ark}, entry {self.name!r}"


def sampled_entries(
    names: np.ndarray, arks: list[str], ark_id: np.ndarray, offset: np.ndarray
) -> Iterator[Entry]:
    """Yield, ark by ark, the last entry in it and some others.

    An ark is cut at its end: if the entry with the highest offset is whole, all are.

    Args:
        names, ark_id, offset: (N,) arrays of a ``TrainingIndex``; arks: paths of its arks.

    Raises:
        InputError: an ark is missing, empty, or no file.
    """
    by_place = np.lexsort((offset, ark_id))
    ends = np.searchsorted(ark_id[by_place], np.arange(len(arks)), side="right")
    some = np.linspace(0, len(offset) - 1, min(_SAMPLED_HEADERS, len(offset))).astype(np.int64)
    for number, (ark, end) in enumerate(zip(arks, ends, strict=True)):
        buffer = map_file(ark)
        for utterance in np.append(by_place[end - 1], some[ark_id[some] == number]):
            name = names[utterance].decode()
            yield Entry(ark, name, utterance, buffer, int(offset[utterance]))
