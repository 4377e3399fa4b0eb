"""Cuts stretches of speech into utterances of a bounded length, at the quietest places."""

from typing import NamedTuple

import numpy as np

from sv.errors import InputError
from sv.features.framing import FRAMES_PER_SECOND

CALM = 5
"""Frames on each side over which the energy of a place is averaged before the quietest is taken."""


class Cutting(NamedTuple):
    """Lengths in seconds.

    shortest, longest: of an utterance; what is shorter is dropped, what is longer is cut.
    pause: stretches of speech with a shorter pause between them become one.
    padding: kept before and after speech, because a beginning or an end may be faint.
    """

    shortest: float = 2.0
    longest: float = 20.0
    pause: float = 0.7
    padding: float = 0.1

    def check(self) -> "Cutting":
        """Return these lengths.

        Raises:
            InputError: the longest utterance is not twice as long as the shortest.
        """
        if self.longest < 2 * self.shortest:
            raise InputError(
                f"utterances of {self.shortest:g} to {self.longest:g} s: the longest must be at "
                "least twice the shortest, because what is too long is cut in two"
            )
        return self


def stretches(speech: np.ndarray) -> list[tuple[int, int]]:
    """Return (first, stop) of each run of True in (frames,) bool."""
    edges = np.flatnonzero(np.diff(np.r_[0, np.asarray(speech, dtype=np.int8), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def cut_spans(
    found: list[tuple[int, int]], energy: np.ndarray, cutting: Cutting | None = None
) -> list[tuple[int, int]]:
    """Return the utterances (first, stop), in frames, of stretches of speech (first, stop).

    found: sorted stretches that do not overlap.
    energy: log energy of each frame, (frames,); it tells the quietest places.
    """
    cutting = (cutting or Cutting()).check()
    shortest, longest, pause, padding = (round(s * FRAMES_PER_SECOND) for s in cutting)
    joined: list[list[int]] = []
    for first, stop in found:
        if joined and first - joined[-1][1] < pause:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([first, stop])
    calm = _calm(energy)
    spans = []
    for number, (first, stop) in enumerate(joined):
        # Padding takes at most half of the pause to a neighbour.
        before = joined[number - 1][1] if number else -first
        after = joined[number + 1][0] if number + 1 < len(joined) else 2 * len(energy) - stop
        first -= min(padding, max(0, (first - before) // 2))
        stop += min(padding, max(0, (after - stop) // 2))
        spans += _in_pieces(first, min(stop, len(energy)), calm, shortest, longest)
    return [(first, stop) for first, stop in spans if stop - first >= shortest]


def _in_pieces(first, stop, calm, shortest, longest) -> list[tuple[int, int]]:
    """Cut one stretch: each piece ends at the quietest place of the second half of its longest."""
    pieces = []
    while stop - first > longest:
        low = first + max(shortest, longest // 2)
        high = max(low + 1, min(first + longest, stop - shortest) + 1)
        place = low + int(np.argmin(calm[low:high]))
        pieces.append((first, place))
        first = place
    return [*pieces, (first, stop)]


def _calm(energy: np.ndarray) -> np.ndarray:
    """Return the energy averaged over CALM frames on each side."""
    if len(energy) == 0:
        return energy
    padded = np.pad(np.asarray(energy, dtype=np.float64), CALM, mode="edge")
    return np.convolve(padded, np.full(2 * CALM + 1, 1 / (2 * CALM + 1)), mode="valid")
