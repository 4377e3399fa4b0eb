"""Which utterances make up the batches of a training without labels."""

import numpy as np
import torch

from sv.crops.batches import Batches, RandomBatches
from sv.crops.index import TrainingIndex
from sv.crops.neighbours import Neighbours
from sv.errors import InputError
from sv.methods import METHODS
from sv.methods.base import Method
from sv.sampling.cluster_batches import ClusterBatches, UtteranceClusters
from sv.sampling.references import check_clusters
from sv.training.build import build_front_end
from sv.training.experiment import Experiment


def positives(settings: Experiment, index: TrainingIndex) -> Neighbours | None:
    """Return the neighbours of each span, or None if all crops of an item are of one span.

    Raises:
        InputError: the method chooses positives itself, or see ``Neighbours.of``.
    """
    if settings.train.positives == "span":
        return None
    name = settings.method.name
    own = METHODS[name][0].needs_labels or settings.method.utterance_clusters
    if own or settings.data.crops == "apart":
        why = f"method {name} chooses positives itself" if own else "data.crops is apart"
        raise InputError(
            f"train.positives is neighbours, and {why}: --set train.positives=span, or change that"
        )
    return Neighbours.of(index)


def compose(
    settings: Experiment, method: Method, index: TrainingIndex, device: torch.device
) -> Batches:
    """Return batches of random utterances, or of clusters if the method wants them."""
    size, seed, count = settings.train.batch_size, settings.train.seed, len(index)
    clusters = settings.method.utterance_clusters
    if not clusters:
        return RandomBatches(count, size, seed)
    check_clusters("method.utterance_clusters", clusters, count)
    front_end = build_front_end(settings, index)
    return ClusterBatches(
        count,
        size,
        seed,
        crops=max(group.count for group in method.crop_groups(settings.data)),
        recluster=UtteranceClusters(index, np.arange(count), front_end, clusters, seed, device),
        refresh_every=settings.method.recluster_every,
    )
