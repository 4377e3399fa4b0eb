"""DeepCluster-v2: the network predicts in which cluster of the training set an utterance is.

Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features", ECCV 2018 (arXiv
1807.05520), in its second version (Caron et al., NeurIPS 2020, arXiv 2006.09882, appendix D), which
has centroids for the classifier and several heads. So it is in the reference toolkit for speakers
(arXiv 2505.14561). With z_ju the newest projection of crop u of utterance j, of unit length, at the
start of every epoch but the first, for each head h with K_h clusters:

    C_h, s_h = spherical k-means of all z_ju, u = h mod 2, K_h clusters
    L        = (1/H) Σ_h mean over crops of −log softmax_k(z·c_hk / τ) at k = s_h(utterance)

The prototypes C_h have no gradient. The first epoch learns nothing: it fills the memory, as a pass
over the training set does in the authors' code.

With SSPS, which no paper has tried here, the clusters of an utterance are those of the positive
that it finds.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather
from sv.encoders.heads import mlp
from sv.losses import deepcluster_loss
from sv.methods.base import Facts, Method, Moment, Stats, Views
from sv.methods.clustered import Prototypes, check_counts, utterances_for
from sv.methods.figures import output_use, pair_cosines
from sv.methods.siamese import SiameseConfig
from sv.sampling.references import References


@dataclass
class DeepClusterConfig(SiameseConfig):
    """Caron et al. 2018 and 2020, with the settings of the reference toolkit for speakers."""

    name: str = option("deepcluster", "the method")
    clusters: list[int] = option(
        [3000, 3000, 3000],
        "K of k-means, one for each head. With as many as there are speakers a cluster can be a "
        "speaker. Fewer mix speakers, more separate the recordings of one. More heads make "
        "mistakes of one clustering count less",
    )
    temperature: float = option(
        0.1, "τ of the predictions. If it is too high, the loss stays at ln of the clusters"
    )

    def __post_init__(self):
        super().__post_init__()
        check_counts(self.clusters)
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")


class DeepCluster(Method):
    """Encoder, projector, a memory for each of the two crops, and prototypes for each head."""

    def __init__(self, encoder: nn.Module, config: DeepClusterConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        utterances = utterances_for(config.clusters, facts)
        self.projector = mlp([encoder.embedding_dim, *config.projector])
        self.memories = nn.ModuleList(References(utterances, self.head_dim) for _ in range(2))
        sizes = [(count, utterances, self.head_dim) for count in config.clusters]
        self.prototypes = nn.ModuleList(Prototypes(*size) for size in sizes)

    def start_epoch(self, moment: Moment) -> Stats:
        """Make prototypes of the projections of the epoch before; there are none in the first."""
        epoch = int(moment.epoch)
        if epoch < 1:
            return {}
        for head, made in enumerate(self.prototypes):
            made.renew(self.memories[head % 2], seed=epoch * len(self.prototypes) + head)
        return {"clusters_used": float(len(self.prototypes[0].cluster.unique()))}

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log; the projections of the batch enter the memories."""
        learns = views.moment.epoch >= 1
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            embeddings = self.encoder(views.crops["views"].flatten(0, 1))
            z = F.normalize(self.projector(embeddings).float()).unflatten(0, (2, -1))
        own = self._clusters(z[1].detach(), views)
        joined, utterances = gather(z.transpose(0, 1)).transpose(0, 1), gather(views.utterances)
        for memory, crops in zip(self.memories, joined.detach(), strict=True):
            memory.store(utterances, crops)
        figures = {**pair_cosines(*z), "embeddings": embeddings.detach()}
        if not learns:  # a loss without weights: an optimiser leaves a weight without gradient
            return torch.zeros((), device=z.device, requires_grad=True), figures
        scores = [joined @ made.centroids.T for made in self.prototypes]
        targets = [gather(clusters) for clusters in own]
        loss = deepcluster_loss(scores, targets, temperature=self.config.temperature)
        first = (scores[0].detach().flatten(0, 1) / self.config.temperature).softmax(dim=1)
        chance = sum(math.log(count) for count in self.config.clusters) / len(scores)
        return loss, {**figures, **output_use(first), "chance": chance}

    def _clusters(self, positive: Tensor, views: Views) -> list[Tensor]:
        """Return, for each head, the clusters (batch,) of the utterances, or of SSPS's positives.

        positive: (batch, D) of unit length.
        """
        found = self.substitute(positive, views)
        other = (found != positive).any(dim=1)
        clusters = []
        for made in self.prototypes:
            own = made.cluster[views.utterances]
            nearest = (found @ made.centroids.T).argmax(dim=1)
            clusters.append(torch.where(other & (own >= 0), nearest, own))
        return clusters
