"""Batches whose items have crops of several utterances, all of one cluster: for CA-DINO.

Han, Chen & Qian, "Self-supervised learning with cluster-aware-DINO for high-performance robust
speaker verification", 2023 (arXiv 2304.05754).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from sv.cluster import kmeans
from sv.crops.batches import Batches, RandomBatches
from sv.sampling.voiceprints import Reclustering

MEMBERS = 4
"""Sets the stream of random numbers apart from those of order, crops and speakers."""


class ClusterBatches(Batches):
    """Every utterance is an item once an epoch; its further crops are of others of its cluster.

    Until ``refresh`` has made clusters, all crops of an item are of one utterance: (batch,). Then a
    batch is (crops, batch). Row 0 has the utterances themselves. Every further row has, for each,
    another member of its cluster, drawn uniformly; one that is alone stays in all rows.

    A pure function of seed, epoch, step and the clusters, which are in the state.

    Parameters
    ----------
    crops: most crops of an item in one group.
    recluster: a function of (network, epoch) that returns the cluster (N,) of each utterance.
    refresh_every: epochs after which the training loop calls ``refresh``.
    """

    def __init__(
        self,
        utterances: int,
        batch_size: int,
        seed: int,
        *,
        crops: int,
        recluster: Callable[[nn.Module, int], np.ndarray],
        refresh_every: int,
    ):
        self.order = RandomBatches(utterances, batch_size, seed)
        self.crops, self.recluster, self.refresh_every = crops, recluster, refresh_every
        self._group(None)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.order.steps

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return the utterances of a step, (batch,) or (crops, batch)."""
        items = self.order(epoch, step)
        if self.clusters is None:
            return items
        rng = np.random.default_rng([self.order.seed, epoch, step, MEMBERS])
        own = self.clusters[items]
        size, first = self.sizes[own], self.first[own]
        # One of the others: as many places on from the own one, around the cluster.
        shape = (self.crops - 1, len(items))
        away = rng.integers(1, np.maximum(size, 2), shape)
        others = self.members[first + (self.place[items] + away) % size]
        return np.concatenate([items[None], others])

    def figures(self, epoch: int) -> dict[str, float]:
        """Return the share of utterances that are not alone in their cluster."""
        if self.clusters is None:
            return {}
        return {"clustered": float((self.sizes[self.clusters] > 1).mean())}

    def refresh(self, network: nn.Module, epoch: int) -> None:
        """Make new clusters by a network; every process must have the same one."""
        self._group(self.recluster(network, epoch))

    def state_dict(self) -> dict:
        """Return the clusters, which resuming needs."""
        return {} if self.clusters is None else {"clusters": torch.from_numpy(self.clusters)}

    def load_state_dict(self, state: dict) -> None:
        """Restore the clusters that ``state_dict`` returned."""
        self._group(state["clusters"].numpy() if state else None)

    def _group(self, clusters: np.ndarray | None) -> None:
        self.clusters = clusters
        if clusters is None:
            return
        self.sizes = np.bincount(clusters)
        self.first = np.cumsum(self.sizes) - self.sizes
        self.members = np.argsort(clusters, kind="stable")
        self.place = np.empty(len(clusters), np.int64)
        self.place[self.members] = np.arange(len(clusters)) - self.first[clusters[self.members]]


class UtteranceClusters(Reclustering):
    """Clusters of all utterances, each of which is its own label; the same in every process."""

    def __call__(self, network: nn.Module, epoch: int) -> np.ndarray:
        """Return the cluster (N,) of each utterance, by a crop of 3 s of it as recorded."""
        vectors = self.voiceprints(network, epoch, 1)
        found = kmeans(vectors, self.clusters, seed=self.seed)
        return np.asarray(found.assignments, dtype=np.int64)
