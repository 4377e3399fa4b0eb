"""k-means and the nearest clusters against the ways they are usually computed."""

import time
from collections.abc import Callable

import faiss
import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from benchmarks.harness import Table, compare
from sv.cluster import kmeans, nearest_clusters
from sv.cluster.lloyd import fast_float32
from sv.device import autocast_dtype

DIM, ITERATIONS = 512, 10


def make_points(count: int, speakers: int) -> np.ndarray:
    """Return unit vectors (count, DIM): a direction per speaker, two per session, and noise.

    Mean cosine of two utterances: 0.5 in a session, 0.33 across those of a speaker.
    """
    generator = np.random.default_rng(0)
    voices = generator.standard_normal((speakers, DIM), dtype=np.float32)
    sessions = generator.standard_normal((speakers, 8, DIM), dtype=np.float32)
    who = generator.integers(speakers, size=count)
    where = generator.integers(8, size=count)
    points = generator.standard_normal((count, DIM), dtype=np.float32)
    points *= 3**0.5
    points += 2**0.5 * voices[who]
    points += sessions[who, where]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def objective(points: np.ndarray, centroids: np.ndarray) -> float:
    """Return the mean cosine of the points and their nearest centroids, in float32."""
    return kmeans(points, len(centroids), iterations=0, init=centroids).objective


def with_faiss(points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """All points; spherical; the assignments of the points would be one more search."""
    k = len(start)
    clustering = faiss.Kmeans(
        DIM,
        k,
        niter=ITERATIONS,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )
    clustering.train(points, init_centroids=start)
    return clustering.centroids


def with_sklearn(points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Mini-batches of 4,096, as many as ten passes over the points hold; Euclidean."""
    clustering = MiniBatchKMeans(
        len(start), init=start, n_init=1, batch_size=4096, max_iter=ITERATIONS, tol=0.0,
        max_no_improvement=None, reassignment_ratio=0.0, compute_labels=False,
    )  # fmt: skip
    centroids = clustering.fit(points).cluster_centers_
    return centroids / np.linalg.norm(centroids, axis=1, keepdims=True)


def products_alone(points: np.ndarray, start: np.ndarray) -> None:
    """Ten times the products of all points and centroids, each block thrown away."""
    device = torch.device("cpu")
    dtype = autocast_dtype("auto", device) or torch.float32
    with fast_float32():
        centroids = torch.from_numpy(start).to(dtype)
        blocks = torch.from_numpy(points).to(dtype).split(1024)
        out = torch.empty(1024, len(start), dtype=dtype)
        for _ in range(ITERATIONS):
            for block in blocks:
                torch.mm(block, centroids.T, out=out[: len(block)])


def ours(points: np.ndarray, start: np.ndarray, precision: str) -> np.ndarray:
    return kmeans(
        points, len(start), iterations=ITERATIONS, init=start, precision=precision
    ).centroids


def compare_kmeans(count: int, k: int, rounds: int) -> Table:
    points = make_points(count, k)
    start = points[np.sort(np.random.default_rng(1).choice(count, k, replace=False))]
    found: dict[str, np.ndarray] = {}

    def keep(name: str, run: Callable[..., np.ndarray], *arguments: str) -> Callable[[], None]:
        return lambda: found.update({name: run(points, start, *arguments)})

    runs = {
        "faiss": keep("faiss", with_faiss),
        "scikit-learn, mini-batches": keep("scikit-learn, mini-batches", with_sklearn),
        "ours, float32": keep("ours, float32", ours, "float32"),
    }
    if autocast_dtype("auto", torch.device("cpu")):  # emulated elsewhere: nobody would use it
        runs["ours, bfloat16"] = keep("ours, bfloat16", ours, "bfloat16")
    runs["ten products alone"] = lambda: products_alone(points, start)
    table = compare(
        f"k-means, {count} x {DIM}, K = {k}, {ITERATIONS} iterations, spherical, same start",
        runs,
        base="faiss",
        items=ITERATIONS * count,
        unit="point",
        rounds=rounds,
        warmup=0,
        clock=time.process_time,  # one thread: whoever else uses the machine does not count
    )
    cosines = {name: objective(points, centroids) for name, centroids in found.items()}
    for row in table.rows:
        if row.name in cosines:
            worse = (1 - cosines[row.name]) / (1 - cosines["faiss"]) - 1
            row.note = (
                f"mean cosine {cosines[row.name]:.6f}, 1 - cosine {100 * worse:+.3f} % of faiss's"
            )
    return table


def neighbours_in_a_loop(centroids: torch.Tensor, m: int) -> torch.Tensor:
    """A product, a sort and a copy for each cluster."""
    found = []
    for cluster in range(len(centroids)):
        likeness = centroids @ centroids[cluster]
        order = likeness.argsort(descending=True)
        found.append(order[order != cluster][:m])
    return torch.stack(found)


def compare_neighbours(clusters: int, m: int, rounds: int) -> Table:
    centroids = torch.nn.functional.normalize(
        torch.randn(clusters, DIM, generator=torch.Generator().manual_seed(0))
    )
    found: dict[str, torch.Tensor] = {}
    table = compare(
        f"{m} nearest of {clusters} clusters",
        {
            "a loop": lambda: found.update(loop=neighbours_in_a_loop(centroids, m)),
            "ours": lambda: found.update(ours=nearest_clusters(centroids, m)),
        },
        base="a loop",
        items=clusters,
        unit="cluster",
        rounds=rounds,
        warmup=0,
        clock=time.process_time,
    )
    same = (found["loop"] == found["ours"]).float().mean()
    table.rows[1].note = f"{100 * same:.3f} % the same ids"
    return table


def benchmark(quick: bool) -> list[Table]:
    """k-means against faiss and scikit-learn, nearest clusters against a loop; one thread."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        return [
            compare_kmeans(*((10_000, 250) if quick else (100_000, 2_500)), rounds=3),
            compare_neighbours(2_000 if quick else 25_000, 2, rounds=3 if quick else 1),
        ]
