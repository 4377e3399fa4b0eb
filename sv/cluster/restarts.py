"""k-means from several starts; the best result counts."""

from sv.cluster.lloyd import Clustering, kmeans
from sv.errors import InputError


def best_of_starts(x, k: int, *, starts: int = 5, seed: int = 0, **options) -> Clustering:
    """Return the best clustering of ``starts`` runs of ``kmeans``, each from first centroids anew.

    Lloyd's iterations end in a local optimum, and which one depends on where they start.

    Parameters
    ----------
    x, k, options: as for ``kmeans``.
    starts: runs; run r starts from ``seed + r``, so that the first is ``kmeans`` with ``seed``.

    Raises:
        InputError: ``starts`` is below 1, or what ``kmeans`` refuses.
    """
    if starts < 1:
        raise InputError(f"k-means from {starts} starts: it must be 1 or more")
    # Spherical: the objective is a cosine, the higher the better; else a distance.
    sign = 1 if options.get("spherical", True) else -1
    best = None
    for number in range(starts):
        found = kmeans(x, k, seed=seed + number, **options)
        if best is None or sign * found.objective > sign * best.objective:
            best = found
    return best
