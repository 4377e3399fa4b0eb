"""Which utterances make up the batches of a training without labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sv.cluster import kmeans
from sv.crops.batches import Batches, RandomBatches
from sv.crops.front_end import FrontEnd
from sv.crops.index import TrainingIndex
from sv.methods.base import Method
from sv.sampling.cluster_batches import ClusterBatches, check_clusters
from sv.sampling.voiceprints import voiceprints
from sv.training.experiment import Experiment


def compose(
    settings: Experiment, method: Method, index: TrainingIndex, device: torch.device
) -> Batches:
    """Return batches of random utterances, or of clusters if the method wants them."""
    size, seed, count = settings.train.batch_size, settings.train.seed, len(index)
    clusters = settings.method.utterance_clusters
    if not clusters:
        return RandomBatches(count, size, seed)
    check_clusters(clusters, count)
    return ClusterBatches(
        count,
        size,
        seed,
        crops=max(group.count for group in method.crop_groups(settings.data)),
        recluster=Recluster(settings, index, device),
        refresh_every=settings.method.recluster_every,
    )


@dataclass
class Recluster:
    """Clusters of all utterances by a network in training; every process makes the same ones."""

    settings: Experiment
    index: TrainingIndex
    device: torch.device

    def __call__(self, network: nn.Module, epoch: int) -> np.ndarray:
        """Return the cluster (N,) of each utterance, of a crop of 3 s as recorded."""
        settings, each = self.settings, np.arange(len(self.index))
        data, bands = settings.data, settings.model.mel_bins
        front_end = FrontEnd.of(
            data.normalise, bands, self.index, rooms=None, preset=data.preset
        )  # fmt: skip
        how = {"front_end": front_end, "utterances": 1, "seed": settings.train.seed}
        vectors = voiceprints(network, self.index, each, epoch=epoch, device=self.device, **how)
        found = kmeans(vectors, settings.method.utterance_clusters, seed=settings.train.seed)
        return np.asarray(found.assignments, dtype=np.int64)
