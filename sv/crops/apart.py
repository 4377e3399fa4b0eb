"""Two crops of an utterance that do not overlap, and how they are read.

Two crops with independent starts overlap in most utterances. A network may then recognise the same
frames instead of the speaker. Lepage & Dehak took pairs of crops that do not overlap (Interspeech
2023 and Odyssey 2024).
"""

import numpy as np

from sv.crops.index import TrainingIndex


def starts_apart(rows: np.ndarray, crop: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first rows (2, n) of two crops of each utterance.

    For an utterance of L rows and crops of F: a gap g uniform in 0…L − 2F, then a pivot uniform in
    F + g/2…L − F − g/2. The first crop ends half a gap before the pivot, the second begins half a
    gap after it. An utterance shorter than 2F counts as one of 2F rows.

    Parameters
    ----------
    rows: (n,) length of each utterance.
    crop: F, rows of a crop.
    """
    length = np.maximum(rows, 2 * crop)
    half = rng.integers(0, length - 2 * crop + 1) // 2
    pivot = rng.integers(crop + half, length - crop - half + 1)
    return np.stack([pivot - half - crop, pivot + half])


def read_apart(
    index: TrainingIndex, utterances: np.ndarray, starts: np.ndarray, crop: int
) -> np.ndarray:
    """Read crops (n, crop, *row_shape) whose first rows (n,) ``starts_apart`` has drawn.

    An utterance shorter than two crops is repeated from its beginning, to the length of both.
    """
    features = np.empty((len(utterances), crop, *index.row_shape), index.dtype)
    short = index.frames[utterances] < 2 * crop
    features[~short] = index.read_windows(utterances[~short], starts[~short], crop)
    both = index.read_windows(utterances[short], np.zeros(short.sum(), np.int64), 2 * crop)
    first = (starts[short] == 0).reshape(-1, *[1] * (both.ndim - 1))
    features[short] = np.where(first, both[:, :crop], both[:, crop:])
    return features
