"""Positives from neighbouring spans of one recording, instead of one span.

Two crops of one span share words and noise, and a network may recognise these. The next span of the
same recording (and channel, where channels are apart) is usually of the same speaker, and of
another moment.
"""

from pathlib import Path

import numpy as np

from sv.crops.index import TrainingIndex
from sv.data.segments import read_segments
from sv.errors import InputError


class Neighbours:
    """The spans before and after each span in its recording.

    Parameters
    ----------
    before, after: (N,) places in the training set. A span without a neighbour on one side has that
        of the other side on both; a span alone in its recording has itself.
    """

    def __init__(self, before: np.ndarray, after: np.ndarray):
        self.both = np.stack([before, after])

    @classmethod
    def of(cls, index: TrainingIndex) -> "Neighbours":
        """Return the neighbours in the ``segments`` of the index's data directory.

        Raises:
            InputError: the directory has no ``segments``, an utterance is not in it, or no
                recording has two spans.
        """
        span = "or --set train.positives=span"
        path = Path(index.folder or "") / "segments"
        if index.folder is None or not path.exists():
            raise InputError(
                f"train.positives is neighbours, and {path} does not exist: utterances must be "
                f"spans of recordings (sv segment, sv prepare_kaldi), {span}"
            )
        segments, ids = read_segments(path), index.ids(slice(None))
        absent = next((key for key in ids if key not in segments), None)
        if absent is not None:
            raise InputError(f"{path}: lacks {absent!r} of the training set: run stage 1 again")
        places = np.arange(len(ids))
        recordings = np.unique([segments[key].recording for key in ids], return_inverse=True)[1]
        starts = np.array([segments[key].start for key in ids])
        order = np.lexsort((places, starts, recordings))
        together = np.diff(recordings[order]) == 0
        if not together.any():
            raise InputError(
                "train.positives is neighbours, and no recording has two spans in the training "
                f"set: take longer recordings, {span}"
            )
        before, after = np.full((2, len(ids)), -1)
        after[order[:-1][together]] = order[1:][together]
        before[order[1:][together]] = order[:-1][together]
        before, after = np.where(before < 0, after, before), np.where(after < 0, before, after)
        return cls(np.where(before < 0, places, before), np.where(after < 0, places, after))

    def draw(self, items: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the spans (count, batch) of the crops of each item.

        The first crop is of the item's own span, and each further one of the span before or after
        it, with equal probability.

        items: (batch,) places in the training set.
        """
        sides = rng.integers(0, 2, (count, len(items)))
        drawn = self.both[sides, items]
        drawn[0] = items
        return drawn
