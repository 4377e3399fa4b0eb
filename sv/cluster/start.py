"""The first centroids of k-means: random points, k-means++, or centroids from elsewhere."""

import math

import numpy as np
import torch

from sv.cluster.assign import Nearest
from sv.cluster.points import Points
from sv.cluster.processes import share_of, sum_over_processes
from sv.errors import InputError

STARTS = ("random", "k-means++")
ROUNDS = 64


def start_centroids(
    points: Points, k: int, init: str | np.ndarray | torch.Tensor | None, seed: int
) -> torch.Tensor:
    """Return the first centroids (k, D) float32 on the points' device, prepared like the points.

    ``init``: None or ``"random"`` (k different points), ``"k-means++"``, or an array (k, D).

    Raises:
        InputError: ``init`` is unknown, or is an array that does not fit.
    """
    if init is None or (isinstance(init, str) and init == "random"):
        ids = np.random.default_rng(seed).choice(points.total, k, replace=False)
        return points.rows_of_all(np.sort(ids))
    if isinstance(init, str):
        if init != "k-means++":
            raise InputError(f"start {init!r} is unknown: use {' or '.join(STARTS)}")
        return plus_plus(points, k, seed)
    given = torch.as_tensor(init).to(points.device, torch.float32)
    if given.shape != (k, points.dim):
        raise InputError(
            f"the first centroids have shape {tuple(given.shape)}; {k} centroids of "
            f"{points.dim} dimensions were asked for"
        )
    if not torch.isfinite(given).all():
        raise InputError("the first centroids hold infinite or NaN numbers")
    if not points.spherical:
        return given - points.mean
    if (given == 0).all(dim=1).any():
        raise InputError("a first centroid is zero: it has no direction")
    return torch.nn.functional.normalize(given)


def plus_plus(points: Points, k: int, seed: int) -> torch.Tensor:
    """Draw points with a probability proportional to their cost at the nearest point drawn before.

    Up to k = 64 this is k-means++ (Arthur & Vassilvitskii, SODA 2007). Beyond, each of some 64
    rounds draws k/64 points at once before costs are computed again, which is the idea of k-means||
    (Bahmani et al., VLDB 2012). So 64 passes over the points replace k passes, and the work is that
    of one iteration of k-means. With one point at a time, a million embeddings would be read 25,000
    times.
    """
    generator = np.random.default_rng(seed)
    chosen = generator.integers(points.total, size=1)
    centroids = points.rows_of_all(chosen)
    cost = torch.full((points.count,), torch.inf, device=points.device)
    latest = centroids
    while len(centroids) < k:
        nearest = Nearest(latest, spherical=points.spherical, dtype=torch.float32)
        for where, rows in points.blocks():
            cost[where] = torch.minimum(cost[where], nearest(rows)[1].clamp_(min=0))
        draws = min(math.ceil(k / ROUNDS), k - len(centroids))
        ids = np.setdiff1d(_draw(points, cost, draws, generator), chosen)
        if not len(ids):  # there are fewer different points than k: take any others
            ids = np.setdiff1d(np.arange(points.total), chosen)[:draws]
        chosen = np.concatenate([chosen, ids])
        latest = points.rows_of_all(ids)
        centroids = torch.cat([centroids, latest])
    return centroids


def _draw(
    points: Points, cost: torch.Tensor, draws: int, generator: np.random.Generator
) -> np.ndarray:
    """Return ids of points drawn in proportion to ``cost``; they are equal on every process."""
    cumulative = cost.double().cumsum(0).cpu().numpy()
    mine = float(cumulative[-1]) if len(cumulative) else 0.0
    before, total = share_of(mine, points.sharded)
    ids = torch.zeros(draws, dtype=torch.int64)
    if total <= 0:
        return ids[:0].numpy()
    targets = generator.random(draws) * total - before
    here = (targets >= 0) & (targets < mine)
    local = np.minimum(np.searchsorted(cumulative, targets[here], side="right"), points.count - 1)
    ids[torch.from_numpy(here)] = torch.from_numpy(local + points.offset)
    return np.unique(sum_over_processes(ids.to(points.device), points.sharded).cpu().numpy())
