"""Hard trials: impostors who sound alike according to a held-out model."""

import numpy as np

from sv.errors import InputError


def nearest_impostors(
    vectors: np.ndarray, speakers: np.ndarray, groups: np.ndarray, enrol: np.ndarray
) -> np.ndarray:
    """Return non-target pairs (T', 2): for each entry of ``enrol``, one of its nearest impostors.

    The impostors of an utterance are the utterances of other speakers in its group, those with the
    largest cosines first. Each pair occurs only once, in either order. If a group has too few
    impostors, there are fewer than T pairs.

    vectors: (N, D), rows of length one. speakers, groups: (N,) numbers. enrol: (T,) rows of
        ``vectors``; a row may occur several times.

    Raises ``InputError`` if there is no pair at all.
    """
    pairs: dict[tuple[int, int], None] = {}  # a set that keeps its order
    names, wanted = np.unique(enrol, return_counts=True)
    for row, count in zip(names.tolist(), wanted.tolist(), strict=True):
        (eligible,) = np.nonzero((groups == groups[row]) & (speakers != speakers[row]))
        nearest = eligible[np.argsort(-(vectors[eligible] @ vectors[row]), kind="stable")]
        for other in nearest.tolist():
            if count == 0:
                break
            if (row, other) not in pairs and (other, row) not in pairs:
                pairs[row, other] = None
                count -= 1
    if not pairs:
        raise InputError(
            "no impostor is left: every group has one speaker only; leave out a --same, which says "
            "what impostors must have in common"
        )
    return np.array(list(pairs))
