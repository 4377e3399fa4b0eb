"""Chooses the number of clusters without labels, by the silhouette of held-out points."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from sv.cluster.lloyd import fast_float32, kmeans
from sv.cluster.points import Points
from sv.cluster.processes import share_of, sum_over_processes
from sv.device import choose_device
from sv.errors import InputError

HELD_OUT = 0.1
# Smallest mean number of points per cluster; fewer would be too few to hold some out.
FEWEST_POINTS = 4
# The search ends after so many numbers in a row that are worse than the best.
PATIENCE = 3


def grid(count: int) -> list[int]:
    """Return numbers of clusters to try for ``count`` points: sqrt(count)/4 times powers of 1.41.

    The last is count/4. For a million points they are 250 to 250,000; the search ends earlier.
    """
    low, high = max(2.0, count**0.5 / 4), count / FEWEST_POINTS
    steps = max(0, int(2 * np.log2(max(high / low, 1.0)) + 1e-9))
    return sorted({round(low * 2 ** (step / 2)) for step in range(steps + 1)})


def choose_k(
    x: np.ndarray | torch.Tensor,
    candidates: Sequence[int] | None = None,
    *,
    report: Callable[[int, float], None] | None = None,
    spherical: bool = True,
    seed: int = 0,
    sharded: bool = False,
    names: Sequence[str] | None = None,
    **options,
) -> tuple[int, dict[int, float]]:
    """Choose the number of clusters with the best simplified silhouette on held-out points.

    For each candidate, in ascending order, k-means (k-means++ start) learns from nine tenths of
    the points. Each point of the last tenth then has a = distance to its nearest centroid, b =
    distance to the second nearest, and (b - a) / b. With too few clusters, a is large. With too
    many, one speaker has several clusters, and b is hardly larger than a. The mean over the points
    is Hruschka's simplified silhouette (2004) of Rousseeuw's coefficient (1987). For points that
    made the centroids it would grow towards k = N, where a = 0; so a tenth is held out.

    The search ends if PATIENCE candidates in a row are worse than the best. Without ``candidates``
    it goes on below the grid if the first number is the best, and at the end it tries the numbers
    half way between the best and its neighbours.

    The result depends on what the embeddings separate: if recordings of a speaker lie apart, the
    clusters are recordings.

    Args:
        x: (N, D) embeddings; numpy or torch.
        candidates: numbers to try; None: ``grid(N)``.
        report: called with (k, silhouette) after each candidate.
        sharded: every process of torch.distributed calls this function with its own rows; all get
            the same result.
        names: names of the rows, for messages.
        options: further arguments of ``kmeans``.

    Returns:
        (best k, {k: silhouette} of all that were tried).

    Raises:
        InputError: a candidate is below 2, or above the number of points that are not held out.
    """
    held_out, most, count = _hold_out(len(x), seed, sharded)
    tried = sorted(set(candidates)) if candidates is not None else grid(count)
    _check_numbers(tried, most, count)
    learn, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    select = torch.from_numpy if torch.is_tensor(x) else np.asarray
    learn_x, test_x = x[select(learn)], x[select(test)]
    options |= {"spherical": spherical, "seed": seed, "init": "k-means++", "sharded": sharded}
    options["names"] = [names[i] for i in learn] if names else None

    def measure(k: int) -> float:
        found = kmeans(learn_x, k, **options)
        score = silhouette(test_x, found.centroids, spherical=spherical, sharded=sharded)
        if report is not None:
            report(k, score)
        return score

    return _search(measure, tried, most, further=candidates is None)


def _hold_out(points: int, seed: int, sharded: bool) -> tuple[np.ndarray, int, int]:
    """Return which of this process's points (n,) are held out, and the numbers of others and all.

    The numbers are those of all processes.
    """
    offset, count = map(int, share_of(points, sharded))
    held_out = np.random.default_rng(seed).random(count) < HELD_OUT
    return held_out[offset : offset + points], count - int(held_out.sum()), count


def _check_numbers(tried: list[int], most: int, count: int) -> None:
    """Raise ``InputError`` unless all numbers of clusters are between 2 and ``most``."""
    if most == count or not tried or tried[0] < 2 or tried[-1] > most:
        raise InputError(
            f"the numbers of clusters to choose from, {', '.join(map(str, tried[:5]))}"
            f"{', ...' if len(tried) > 5 else ''}, must be between 2 and {most:,} for "
            f"{count:,} points (a tenth is held out)"
        )


def _search(
    measure: Callable[[int], float], numbers: Sequence[int], most: int, further: bool
) -> tuple[int, dict[int, float]]:
    """Return the number with the best score, and the scores of all that were tried.

    numbers: in ascending order; the search ends when PATIENCE in a row are worse than the best.
    further: go on below the first number if that is the best, and at last try the numbers half way
        between the best and its neighbours, up to ``most``.
    """
    scores: dict[int, float] = {}

    def best() -> int:
        return max(scores, key=scores.get)

    for k in numbers:
        scores[k] = measure(k)
        if list(scores).index(best()) < len(scores) - PATIENCE:
            break
    while further and best() == min(scores) > 2:
        k = max(2, round(min(scores) / 2**0.5))
        scores[k] = measure(k)
    middle = best()
    for k in sorted({round(middle / 2**0.25), round(middle * 2**0.25)} - set(scores)):
        if further and 2 <= k <= most:
            scores[k] = measure(k)
    return best(), scores


def silhouette(
    x: np.ndarray | torch.Tensor,
    centroids: np.ndarray | torch.Tensor,
    *,
    spherical: bool = True,
    sharded: bool = False,
) -> float:
    """Return the mean of (b - a) / b over the rows of ``x`` (N, D), see ``choose_k``.

    Distances are 1 - cosine (spherical) or Euclidean. ``centroids``: (k, D), k >= 2.
    """
    device = choose_device(str(x.device) if torch.is_tensor(x) else "cpu")
    points = Points(x, spherical=spherical, device=device, sharded=sharded)
    rows_of_k = torch.as_tensor(centroids).to(device).float() - points.mean
    total = torch.zeros((), dtype=torch.float64, device=device)
    with torch.no_grad(), fast_float32():
        for _, rows in points.blocks():
            if spherical:
                distances = 1 - rows @ rows_of_k.T
            else:
                distances = torch.cdist(rows, rows_of_k)
            a, b = distances.clamp_(min=0).topk(2, dim=1, largest=False).values.unbind(dim=1)
            total += ((b - a) / b.clamp(min=1e-12)).sum(dtype=torch.float64)
    return float(sum_over_processes(total, sharded)) / points.total
