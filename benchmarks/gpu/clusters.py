"""k-means of as many references as VoxCeleb2 has utterances, as SSPS does it every epoch."""

import torch

from benchmarks.gpu.bench import Bench
from sv.cluster import kmeans

ITERATIONS = 10


def measure_clusters(bench: Bench) -> None:
    """Cluster random directions around speakers; one run, because it takes long."""
    scale, where = bench.scale, bench.device
    generator = torch.Generator(device=where).manual_seed(0)
    speakers = max(2, scale.clusters // 4)
    voices = torch.randn(speakers, scale.dim, device=where, generator=generator)
    points = voices[torch.arange(scale.points, device=where) % speakers]
    points.add_(torch.randn(points.shape, device=where, generator=generator))
    found = []
    seconds = bench.seconds(lambda: found.append(kmeans(points, scale.clusters, seed=1)))
    work = 2 * scale.points * scale.clusters * scale.dim * (ITERATIONS + 1)
    bench.add(
        "k-means",
        points=scale.points,
        dim=scale.dim,
        clusters=scale.clusters,
        seconds=seconds,
        objective=found[0].objective,
        seconds_if_all_products_were_computed_in_bf16=work / bench.rates["bf16"],
    )
