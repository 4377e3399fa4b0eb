"""k-means from several starts, of which the best result counts."""

from sv.cluster.lloyd import Clustering, kmeans
from sv.errors import InputError


def best_of_starts(x, k: int, *, starts: int = 5, seed: int = 0, **options) -> Clustering:
    """Return the best clustering of ``starts`` runs of ``kmeans`` with different first centroids.

    Lloyd's iterations end in a local optimum, which depends on the first centroids.

    Parameters
    ----------
    x, k, options: as for ``kmeans``.
    starts: runs; run r starts from ``seed + r``, so that the first is ``kmeans`` with ``seed``.

    Raises:
        InputError: ``starts`` is below 1, or what ``kmeans`` refuses.
    """
    if starts < 1:
        raise InputError(f"k-means from {starts} starts: it must be 1 or more")
    # A spherical objective is a cosine, so the highest is the best; else it is a distance.
    sign = 1 if options.get("spherical", True) else -1
    best = None
    for number in range(starts):
        found = kmeans(x, k, seed=seed + number, **options)
        if best is None or sign * found.objective > sign * best.objective:
            best = found
    return best
