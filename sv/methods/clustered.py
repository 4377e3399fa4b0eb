"""Prototypes that k-means makes of a memory of the training set, for methods that learn from them.

MoCo + ProtoNCE and DeepCluster remember an embedding of every utterance (`References`), and make
prototypes of the memory at the start of an epoch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.methods.base import Facts
from sv.sampling.references import References, check_clusters


class Prototypes(nn.Module):
    """Centroids (K, D) of unit length, and the cluster of each utterance (N,), −1 for none."""

    def __init__(self, clusters: int, utterances: int, dim: int):
        super().__init__()
        self.register_buffer("centroids", torch.zeros(clusters, dim))
        self.register_buffer("cluster", torch.full((utterances,), -1))

    def renew(self, memory: References, seed: int, *, spherical: bool = True) -> Tensor:
        """Cluster what is remembered; return the centroids (K, D) before they got unit length."""
        how = {"seed": seed, "name": "method.clusters", "spherical": spherical}
        centroids, cluster = memory.clusters_of(len(self.centroids), **how)
        self.centroids.copy_(F.normalize(centroids))
        self.cluster.copy_(cluster)
        return centroids


def check_counts(clusters: list[int]) -> None:
    """Raise ``ValueError`` unless there are numbers of clusters, of at least 2."""
    if not clusters or min(clusters) < 2:
        raise ValueError(f"clusters must be one number or more, of at least 2: {clusters}")


def utterances_for(clusters: list[int], facts: Facts | None) -> int:
    """Return the number of utterances to remember; it must be above all numbers of clusters."""
    utterances = facts.utterances if facts else 0
    if utterances:
        check_clusters("method.clusters", max(clusters), utterances)
    return utterances
