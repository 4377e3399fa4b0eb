"""k-means by Lloyd's iterations over all points, in bounded memory."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sv.cluster.assign import TILE, Nearest
from sv.cluster.bounds import Bounded, Dense
from sv.cluster.points import Points
from sv.cluster.processes import is_first, sum_over_processes
from sv.cluster.start import start_centroids
from sv.device import Precision, autocast_dtype, choose_device, tune_float32_products
from sv.errors import InputError
from sv.progress import progress

# Iterations in bfloat16 are twice as fast if the processor computes in it, and they reach the same
# objective (benchmarks/RESULTS.md). Below some 10^10 multiplications an iteration takes 0.1 s in
# float32, so bfloat16 saves nothing.
WORTH_BFLOAT16 = 1e10


@dataclass
class Clustering:
    """The result of k-means. Arrays are of numpy or torch, like the points.

    Attributes:
        centroids: (k, D) float32; of length one if spherical.
        assignments: (N,) int64, the nearest of these centroids, computed in float32.
        sizes: (k,) int64, number of points of each cluster (over all processes).
        closeness: (k,) float32, mean cosine of a cluster's points and its centroid (spherical), or
            mean squared distance; 1 or 0, respectively, for an empty cluster.
        objective: mean cosine of a point and its centroid (spherical), or mean squared distance.
        history: the objective before each iteration, with the precision of the products.
        empty: number of clusters without a point.
    """

    centroids: np.ndarray | torch.Tensor
    assignments: np.ndarray | torch.Tensor
    sizes: np.ndarray | torch.Tensor
    closeness: np.ndarray | torch.Tensor
    objective: float
    history: list[float]
    empty: int


def kmeans(
    x: np.ndarray | torch.Tensor,
    k: int,
    *,
    iterations: int = 10,
    spherical: bool = True,
    seed: int = 0,
    init: str | np.ndarray | torch.Tensor | None = None,
    precision: Precision = "auto",
    device: str | torch.device | None = None,
    sharded: bool = False,
    names: Sequence[str] | None = None,
    verbose: bool = False,
    converge: bool = False,
) -> Clustering:
    """Cluster the rows of ``x`` around ``k`` centroids; every iteration uses all points.

    Each iteration assigns every point to its nearest centroid, and moves each centroid to the mean
    of its points. With ``spherical`` the mean is scaled to length one (Dhillon & Modha, Machine
    Learning 2001). Products that cannot change an assignment are left out (``sv.cluster.bounds``).
    A cluster without points keeps its centroid. One more pass in float32 assigns the points to the
    last centroids. Equal input and seed give equal output on one machine.

    Args:
        x: (N, D) of any floating type, numpy or torch, also memory-mapped. It is read a block
            at a time; beside it there are some copies of the centroids and 24 bytes a point.
        iterations: passes before the last one; with ``converge`` the largest number of them.
        converge: stop as soon as no centroid moves.
        spherical: the nearest centroid is that of the largest cosine; else of the smallest
            Euclidean distance.
        init: first centroids: (k, D), "random" points (default), or "k-means++".
        precision: of the products in the iterations. ``auto`` takes ``bfloat16`` if the hardware
            computes in it and the work is large enough to gain from it.
        device: where to compute, ``cpu`` or ``cuda``; default: the device of ``x``.
        sharded: every process of torch.distributed calls this function with its own rows. Centroids
            and sizes are computed from all rows and equal in all processes; assignments are those
            of the process's own rows.
        names: names of the rows, for messages.
        verbose: print an estimate of time and memory first, then show progress.

    Raises:
        InputError: k is not in 1..N, a row is NaN, infinite or (spherical) zero, or ``init`` does
            not fit.
    """
    if iterations < 0:
        raise InputError(f"iterations is {iterations}: it must be 0 or more")
    default = x.device if torch.is_tensor(x) else "cpu"
    where = choose_device(str(default if device is None else device))
    with torch.no_grad(), fast_float32():
        points = Points(x, spherical=spherical, device=where, sharded=sharded, names=names)
        _check_number(k, points)
        dtype = _product_type(precision, where, points, k)
        centroids = start_centroids(points, k, init, seed)
        loud = verbose and is_first(sharded)
        with _announced(points, centroids, dtype, iterations, loud) as bar:
            search = _search(points, iterations)
            centroids, history = _move(points, centroids, search, iterations, dtype, converge, bar)
            assigned = _assign(points, centroids, search, bar)
    return _clustering(x, points, centroids, assigned, history)


def _check_number(k: int, points: Points) -> None:
    if not 1 <= k <= points.total:
        raise InputError(
            f"{k:,} clusters of {points.total:,} points: k must be between 1 and the number "
            "of points"
        )


def _announced(
    points: Points, centroids: torch.Tensor, dtype: torch.dtype, iterations: int, loud: bool
):
    """Print what the work will take, and return its bar of progress; None as a bar if not loud."""
    if not loud:
        return contextlib.nullcontext()
    print(_estimate(points, centroids, dtype, iterations), file=sys.stderr)
    return progress(total=points.count * (iterations + 1), desc="k-means", unit="pt")


def _move(
    points: Points,
    centroids: torch.Tensor,
    search: Bounded | Dense,
    iterations: int,
    dtype: torch.dtype,
    converge: bool,
    bar,
) -> tuple[torch.Tensor, list[float]]:
    """Return the centroids after the iterations, and the objective before each of these."""
    history = []
    for _ in range(iterations):
        before = centroids
        centroids, mean_cost = _iterate(points, before, dtype, search, bar)
        history.append(_objective(mean_cost, points.spherical))
        if converge and torch.equal(before, centroids):
            break
    return centroids, history


def _clustering(
    x: np.ndarray | torch.Tensor,
    points: Points,
    centroids: torch.Tensor,
    assigned: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    history: list[float],
) -> Clustering:
    """Return what was found, as arrays like ``x``; ``assigned``: see ``_assign``."""
    assignments, sizes, costs = assigned
    closeness = costs / sizes.clamp(min=1)
    closeness = (1 - closeness if points.spherical else 2 * closeness.clamp(min=0)).float()
    mean_cost = float(costs.sum()) / points.total
    if not points.spherical:
        centroids = centroids + points.mean
    found = (centroids, assignments, sizes, closeness)
    found = (
        [array.to(x.device) for array in found]
        if torch.is_tensor(x)
        else [array.cpu().numpy() for array in found]
    )
    objective = _objective(mean_cost, points.spherical)
    return Clustering(*found, objective, history, int((sizes == 0).sum()))


def _objective(mean_cost: float, spherical: bool) -> float:
    return 1 - mean_cost if spherical else 2 * max(mean_cost, 0.0)


@contextlib.contextmanager
def fast_float32() -> Iterator[None]:
    """Use the fastest float32 products of equal precision (see ``sv.device``) in the block."""
    before = torch.get_float32_matmul_precision()
    tune_float32_products()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _product_type(
    precision: Precision, device: torch.device, points: Points, k: int
) -> torch.dtype:
    """Return the type of the products; it is equal on all processes, whatever their shares."""
    small = points.total * points.dim * k < WORTH_BFLOAT16
    if precision == "auto" and small:
        return torch.float32
    return autocast_dtype(precision, device) or torch.float32


def _search(points: Points, iterations: int) -> Bounded | Dense:
    """Return the search for nearest centroids; bounds pay off from the second pass on."""
    return Bounded(points) if points.device.type == "cpu" and iterations else Dense(points)


def _iterate(
    points: Points, centroids: torch.Tensor, dtype: torch.dtype, search: Bounded | Dense, bar
) -> tuple[torch.Tensor, float]:
    """Return the next centroids, and the mean cost of all points at the present ones."""
    search.start(centroids, dtype)
    sums = torch.zeros_like(centroids)
    sizes = torch.zeros(len(centroids), dtype=torch.int64, device=centroids.device)
    cost = torch.zeros((), dtype=torch.float64, device=centroids.device)
    for where, rows in points.blocks():
        index, costs = search(where, rows)
        _add_rows(sums, index, rows)
        sizes += torch.bincount(index, minlength=len(centroids))
        cost += costs.sum(dtype=torch.float64)
        if bar is not None:
            bar.update(len(rows))
    for tensor in (sums, sizes, cost):
        sum_over_processes(tensor, points.sharded)
    means = sums / sizes.clamp(min=1)[:, None]
    moved = sizes > 0
    if points.spherical:
        lengths = torch.linalg.vector_norm(means, dim=1)
        moved &= lengths > 0  # opposite points have a mean without direction
        means /= lengths.clamp(min=torch.finfo(means.dtype).tiny)[:, None]
    return torch.where(moved[:, None], means, centroids), float(cost) / points.total


def _add_rows(sums: torch.Tensor, index: torch.Tensor, rows: torch.Tensor) -> None:
    """Add each row to the sum of its cluster, in the same order every time."""
    if sums.device.type == "cpu":
        sums.index_add_(0, index, rows)
    else:  # index_add_ on a GPU adds in any order; index_put_ sorts first
        sums.index_put_((index,), rows, accumulate=True)


def _assign(
    points: Points, centroids: torch.Tensor, search: Bounded | Dense, bar
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return assignments of this process's points, and sizes and summed costs of all clusters."""
    search.start(centroids, torch.float32)
    assignments = torch.empty(points.count, dtype=torch.int64, device=centroids.device)
    costs = torch.zeros(len(centroids), dtype=torch.float64, device=centroids.device)
    for where, rows in points.blocks():
        assignments[where], cost = search(where, rows)
        _add_rows(costs, assignments[where], cost.double())
        if bar is not None:
            bar.update(len(rows))
    sizes = torch.bincount(assignments, minlength=len(centroids))
    for tensor in (sizes, costs):
        sum_over_processes(tensor, points.sharded)
    return assignments, sizes, costs


def _estimate(points: Points, centroids: torch.Tensor, dtype: torch.dtype, iterations: int) -> str:
    """Return a sentence on the time (from a block of points) and memory ahead."""
    rows = points.prepare(slice(0, points.block_size))
    seconds = []
    for kind in (dtype, torch.float32):
        nearest = Nearest(centroids, spherical=points.spherical, dtype=kind)
        nearest(rows)  # the first call allocates memory and is not timed
        start = time.perf_counter()
        nearest(rows)[0].sum().item()  # waits for a GPU
        seconds.append((time.perf_counter() - start) * points.count / max(1, len(rows)))
    total = iterations * seconds[0] + seconds[1]
    data = points.count * points.dim * points.x.dtype.itemsize
    # Centroids before and after, their sums, the operand; the products; lengths and assignments.
    work = 4 * 4 * centroids.numel() + 4 * len(rows) * min(TILE, len(centroids)) + 24 * points.count
    return (
        f"k-means: {points.total:,} points of {points.dim} dimensions, {len(centroids):,} "
        f"clusters, {iterations} iterations in {str(dtype).removeprefix('torch.')} and a last "
        f"pass in float32: at most about {_duration(total)}; memory {data / 1e9:.2f} GB for the "
        f"points and {work / 1e9:.2f} GB beside them"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else "a second"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
