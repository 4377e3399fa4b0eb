"""MoCo with collision correction (C3): negatives that may be of the anchor's speaker do not count.

Zhang & Yu, "C3-DINO: Joint contrastive and non-contrastive self-supervised learning for speaker
verification", 2022 (arXiv 2208.07446): its first stage; in the paper DINO then starts from these
weights. Published: false negatives are filtered, InfoNCE is re-weighted, and ProtoNCE is added. The
form of the filter and of the weights is a reconstruction. For a query q_i and a key b
of the queue, with clusters c(·) and prototypes as in `sv.methods.moco_proto`:

    w_ib = 0               if c(i) = c(b), or cos(q_i, b) > threshold
           1 − p_i(c(b))   otherwise, p_i = softmax_c(q_i·c/φ_c), if weights are wanted
    L    = −(1/N) Σ_i log[ ℓ⁺_i / (ℓ⁺_i + Σ_b w_ib e^{cos(q_i,b)/τ}) ] + ProtoNCE

Several Ks: the clusters are those of the first. Before the first clusters it is MoCo.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather
from sv.methods.base import Facts, Views
from sv.methods.moco_proto import MoCoProto, MoCoProtoConfig
from sv.methods.queue import Queue


@dataclass
class MoCoC3Config(MoCoProtoConfig):
    """Zhang & Yu 2022 (arXiv 2208.07446); threshold and weights are ours."""

    name: str = option("moco_c3", "the method")
    collision_cosine: float = option(
        0.7,
        "keys of the queue with a larger cosine to the query are no negatives. If it is too low, "
        "hard negatives go, which teach the most; 1: the clusters alone filter",
    )
    collision_weights: bool = option(
        True, "negatives weigh 1 less the probability that the prototypes give to their cluster"
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.collision_cosine <= 1:
            raise ValueError(f"collision_cosine must be in (0, 1], not {self.collision_cosine}")


class MoCoC3(MoCoProto):
    """MoCo + ProtoNCE, and queues that know of which utterance their keys are."""

    def __init__(self, encoder: nn.Module, config: MoCoC3Config, facts: Facts | None = None):
        super().__init__(encoder, config, facts)
        self.register_buffer("queued", torch.full((config.queue_size,), -1))

    @torch.no_grad()
    def corrections(self, query: Tensor, queue: Queue, views: Views) -> dict[str, Tensor]:
        """Return the weights (batch, Q) of the queue's keys."""
        if views.moment.epoch < self.config.cluster_start:
            return {}
        made = self.prototypes[0]
        own = made.cluster[views.utterances]
        theirs = torch.where(self.queued >= 0, made.cluster[self.queued.clamp_min(0)], -1)
        with torch.autocast(query.device.type, enabled=False):
            query = F.normalize(query.float())
            weights = torch.ones(len(query), len(theirs), device=query.device)
            if self.config.collision_weights:
                chances = (query @ made.centroids.T / made.density).softmax(dim=1)
                weights = torch.where(theirs >= 0, 1 - chances[:, theirs.clamp_min(0)], 1.0)
            same = (own[:, None] == theirs) & (theirs >= 0)
            near = query @ queue.rows.T > self.config.collision_cosine
        return {"weights": weights.clamp_min(0.0).masked_fill(same | near, 0.0)}

    @torch.no_grad()
    def after_keys(self, views: Views) -> None:
        """Remember of which utterances the newest keys are, where they are in the queue."""
        size, everyones = len(self.queued), gather(views.utterances)
        kept = everyones[-size:]
        last = self.queue.position - torch.arange(len(kept), 0, -1, device=kept.device)
        self.queued[last % size] = kept
