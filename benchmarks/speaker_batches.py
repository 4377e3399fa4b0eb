"""Composing batches of distinct speakers, for VoxCeleb2's size: 5,894 speakers, 1 M utterances."""

import numpy as np

from benchmarks.harness import Table, compare
from sv.sampling.chns import SpeakerBatches, SpeakerClusters

SPEAKERS, UTTERANCES, CLUSTERS, BATCH = 5894, 1_000_000, 50, 650


def by_loop(labels: np.ndarray, assignments: np.ndarray):
    """Return the same composition as a reader would first write it: lists, sets and choices."""
    of_speaker = {s: np.flatnonzero(labels == s).tolist() for s in range(SPEAKERS)}
    of_cluster = [np.flatnonzero(assignments == c).tolist() for c in range(CLUSTERS)]

    def compose(step: int) -> list[tuple[int, int]]:
        rng = np.random.default_rng([0, 0, step])
        chosen: list[int] = []
        for cluster in rng.permutation(CLUSTERS):
            members = [int(s) for s in rng.permutation(of_cluster[cluster])]
            chosen += members[: BATCH - len(chosen)]
            if len(chosen) == BATCH:
                break
        return [tuple(rng.choice(of_speaker[s], 2, replace=False)) for s in rng.permutation(chosen)]

    return compose


def benchmark(quick: bool) -> list[Table]:
    """CHNS batches of 650 of 5,894 speakers: arrays against a loop; random batches."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(UTTERANCES) % SPEAKERS)
    assignments, steps = rng.integers(0, CLUSTERS, SPEAKERS), 3 if quick else 20
    clusters = SpeakerClusters(assignments, rng.normal(size=(CLUSTERS, 192)))
    options = {"seed": 0, "clusters": clusters}
    loop = by_loop(labels, assignments)
    hard = SpeakerBatches(labels, BATCH, ratio=1.0, **options)
    similar = SpeakerBatches(labels, BATCH, ratio=1.0, further="similar", **options)
    half = SpeakerBatches(labels, BATCH, ratio=0.5, **options)
    plain = SpeakerBatches(labels, BATCH, **options)

    def all_of(compose):
        return lambda: [compose(step) for step in range(steps)]

    return [
        compare(
            f"batches of {BATCH} speakers of {SPEAKERS:,}, {UTTERANCES:,} utterances",
            {
                "CHNS, ratio 1, a loop": all_of(loop),
                "CHNS, ratio 1": all_of(lambda step: hard(0, step)),
                "CHNS, ratio 1, similar clusters": all_of(lambda step: similar(0, step)),
                "CHNS, ratio 0.5": all_of(lambda step: half(0, step)),
                "random": all_of(lambda step: plain(0, step)),
            },
            base="CHNS, ratio 1, a loop",
            items=steps,
            unit="batch",
            rounds=3 if quick else 9,
        )
    ]
