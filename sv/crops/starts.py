"""The places of crops in their utterances: anywhere, or two crops that do not overlap.

Two crops with independent starts overlap in most utterances. A network may then recognise the same
frames instead of the speaker. Lepage & Dehak took pairs of crops that do not overlap (Interspeech
2023 and Odyssey 2024).
"""

import numpy as np

from sv.crops.codes import read_windows
from sv.crops.index import TrainingIndex


def starts_anywhere(lengths: np.ndarray, crop: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first row (n,) of a random crop of each utterance.

    An utterance that is shorter than a crop is repeated, beginning at a random row. So its views
    still differ.

    Parameters
    ----------
    lengths: (n,) rows of each utterance.
    crop: rows of a crop.
    """
    lengths = lengths.astype(np.int64)
    return rng.integers(0, np.where(lengths < crop, lengths, lengths - crop + 1))


def starts_apart(lengths: np.ndarray, crop: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first rows (2, n) of two crops of each utterance.

    Let L be the rows of the utterance and F the rows of a crop. The gap g is uniform in 0…L − 2F,
    then the pivot is uniform in F + g/2…L − F − g/2. The first crop ends half a gap before the
    pivot, and the second begins half a gap after it. An utterance shorter than 2F counts as one of
    2F rows.

    Parameters
    ----------
    lengths: (n,) rows of each utterance.
    crop: F, rows of a crop.
    """
    lengths = np.maximum(lengths.astype(np.int64), 2 * crop)
    half = rng.integers(0, lengths - 2 * crop + 1) // 2
    pivot = rng.integers(crop + half, lengths - crop - half + 1)
    return np.stack([pivot - half - crop, pivot + half])


def read_apart(
    index: TrainingIndex,
    utterances: np.ndarray,
    starts: np.ndarray,
    signal: np.ndarray,
    scales: np.ndarray | None = None,
) -> None:
    """Read crops whose first rows (n,) ``starts_apart`` has drawn.

    An utterance shorter than two crops is repeated up to the length of two crops.
    signal, scales: to fill, as ``out`` and ``scales`` of `sv.crops.codes.read_windows`.
    """
    crop = signal.shape[1]
    is_short = index.lengths[utterances] < 2 * crop
    (long,), (short,) = np.nonzero(~is_short), np.nonzero(is_short)
    read_windows(index, utterances[long], starts[long], signal, scales, long)
    both = np.empty((len(short), 2 * crop, *index.row_shape), signal.dtype)
    of_both = None if scales is None else np.empty((len(short), 2), np.float32)
    read_windows(index, utterances[short], np.zeros_like(short), both, of_both)
    first = (starts[short] == 0).reshape(-1, *[1] * (both.ndim - 1))
    signal[short] = np.where(first, both[:, :crop], both[:, crop:])
    if scales is not None:
        scales[short] = of_both
