"""MoCo + ProtoNCE: MoCo, and prototypes of clusters of the training set, made anew every epoch.

Xia et al., "Self-supervised text-independent speaker verification using prototypical momentum
contrastive learning", ICASSP 2021 (arXiv 2012.07178), after Li et al., "Prototypical Contrastive
Learning", ICLR 2021 (arXiv 2005.04966). That the speaker paper has exactly this form is a
reconstruction. With k_j the newest momentum embedding of utterance j, for each K of a list:

    c, s = k-means of all k_j, K clusters, at the start of every epoch after a warm-up
    φ_c  = density of cluster c (`sv.losses.prototypes.concentration`)
    L    = L_MoCo + mean over the Ks of ProtoNCE(q; c, φ, s)

In the code of PCL an epoch begins with one pass over the training set for the k_j. Here they are
those of the steps of the epoch before, which costs no pass; they are of augmented crops.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather
from sv.losses import concentration, proto_chance, proto_nce
from sv.methods.base import Facts, Moment, Stats, Views
from sv.methods.clustered import Prototypes, check_counts, utterances_for
from sv.methods.moco import MoCo, MoCoConfig
from sv.sampling.references import References


@dataclass
class MoCoProtoConfig(MoCoConfig):
    """Xia et al. 2021 (arXiv 2012.07178); numbers of clusters and the warm-up are ours."""

    name: str = option("moco_proto", "the method")
    clusters: list[int] = option(
        [5000, 10000],
        "K of k-means, one or several. With as many as there are speakers a prototype is a "
        "speaker. Fewer mix speakers, more separate the recordings of one",
    )
    cluster_start: int = option(
        10,
        "first epoch with prototypes, at least 1. If it is too early, the clusters are of "
        "channels and training keeps them",
    )
    prototype_weight: float = option(
        1.0, "weight of ProtoNCE. If it is too high, mistakes of the first clusters stay"
    )

    def __post_init__(self):
        super().__post_init__()
        check_counts(self.clusters)
        if self.cluster_start < 1 or self.prototype_weight < 0:
            raise ValueError("cluster_start must be at least 1, prototype_weight not negative")


class DensePrototypes(Prototypes):
    """Prototypes with the density (K,) of each."""

    def __init__(self, clusters: int, utterances: int, dim: int):
        super().__init__(clusters, utterances, dim)
        self.register_buffer("density", torch.ones(clusters))

    def measure(self, memory: References, seed: int, temperature: float) -> None:
        """Cluster what is remembered; the mean density is ``temperature``."""
        means = self.renew(memory, seed, spherical=False)
        density = concentration(memory.references, means, self.cluster, temperature)
        self.density.copy_(density)


class MoCoProto(MoCo):
    """MoCo with a memory of the newest key of every utterance, and prototypes made of it."""

    def __init__(self, encoder: nn.Module, config: MoCoProtoConfig, facts: Facts | None = None):
        super().__init__(encoder, config, facts)
        utterances = utterances_for(config.clusters, facts)
        self.memory = References(utterances, self.head_dim)
        sizes = [(count, utterances, self.head_dim) for count in config.clusters]
        self.prototypes = nn.ModuleList(DensePrototypes(*size) for size in sizes)

    def start_epoch(self, moment: Moment) -> Stats:
        """Make prototypes of the keys of the epoch before."""
        epoch = int(moment.epoch)
        if epoch < self.config.cluster_start:
            return {}
        for number, prototypes in enumerate(self.prototypes):
            seed = epoch * len(self.prototypes) + number
            prototypes.measure(self.memory, seed, self.config.temperature)
        return {"clusters_used": float(len(self.prototypes[0].cluster.unique()))}

    def beside(self, anchor: Tensor, keys: Tensor, views: Views) -> tuple[Tensor | float, Stats]:
        """Return ProtoNCE of the queries; the keys of the batch enter the memory."""
        if self.training:
            self.memory.store(gather(views.utterances), gather(keys))
        if views.moment.epoch < self.config.cluster_start:
            return 0.0, {}
        loss, level = torch.zeros((), device=anchor.device), 0.0
        for made in self.prototypes:
            own = made.cluster[views.utterances].repeat(len(anchor) // len(keys))
            loss = loss + proto_nce(anchor, made.centroids, made.density, own)
            level = level + proto_chance(made.density, own)
        share = self.config.prototype_weight / len(self.prototypes)
        return share * loss, {"prototype_loss": loss.detach() * share, "chance": share * level}
