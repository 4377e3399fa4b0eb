"""Self-supervised positive sampling (SSPS): positives of the same speaker from other recordings.

Lepage & Dehak, "SSPS: Self-Supervised Positive Sampling for Robust Self-Supervised Speaker
Verification", Interspeech 2025 (arXiv 2505.14561), and TASLP 2025 (arXiv 2501.17772).

Two crops of one utterance share its channel, so a network may learn channels. SSPS keeps a memory
of *references* (one embedding for each training utterance) and clusters them every epoch. It
replaces an anchor's own positive by the positive of another utterance, from the same cluster or
from a neighbouring one. These positives come from a queue of recent ones.

For an anchor i of the batch, with j any utterance of the training set:

    ŷ_j    reference of j: embedding of a long crop without augmentation, unit length, no gradient
    c(j)   cluster of ŷ_j, by spherical k-means with K clusters at the start of each epoch
    C(i) = {c(i)} if M = 0, else the M clusters whose centroids have the largest cosine with the
           centroid of c(i), without c(i)
    Q'     queue of positives z'_j, the newest one of each utterance j

    c ~ U(C(i)),   j ~ U({j in Q' : c(j) = c, j ≠ i}),   z'_i ← z'_j

If the set is empty, z'_i stays. After the draw, ŷ_i and the step's own z'_i enter the memories.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.cluster.neighbours import nearest_clusters
from sv.config import option
from sv.crops.groups import CropGroup
from sv.distributed import gather, own_rows
from sv.errors import InputError
from sv.sampling.references import References, check_clusters


@dataclass
class SSPSConfig:
    """Settings of SSPS, which is off unless ``enabled``."""

    enabled: bool = option(False, "take positives from other recordings (SSPS)")
    clusters: int = option(
        25000,
        "K of k-means over the references. Few clusters mix speakers; many separate "
        "the recordings of a speaker. With nearest = 1 the published best is about "
        "four times the number of speakers",
    )
    nearest: int = option(
        1,
        "M. 0: sample from the anchor's own cluster, whose members may be of "
        "the same session; 1: from the most similar other cluster; M: from one of the M "
        "most similar clusters",
    )
    queue: int = option(
        0,
        "number of positives in the queue; 0: the number of clusters. A longer "
        "queue has a positive for more anchors (see coverage in the log), but "
        "from older weights",
    )
    fill: Literal["epoch", "pass"] = option(
        "epoch",
        "what fills the memories. epoch: the first epoch, which trains without "
        "SSPS; pass: one pass over the training set before the first step, with the "
        "initial weights, so every epoch samples, as published",
    )
    start_epoch: int = option(
        0,
        "first epoch that may sample. The epoch before it, or the first epoch that "
        "is trained, fills the memories",
    )
    neighbours: Literal["clusters", "knn", "speakers"] = option(
        "clusters",
        "clusters: k-means; knn: the M most similar references, no clusters; "
        "speakers: the true speakers, an ablation that shows how much SSPS could "
        "gain at most (needs --labels)",
    )
    mutual: bool = option(
        False,
        "with knn: an anchor keeps its own positive unless the anchor is also among "
        "the M most similar references of the drawn utterance. Fewer positives "
        "change, but more of them are right. Use it if the base confuses many "
        "speakers; it is not from the paper",
    )
    positive: Literal["queue", "centroid"] = option(
        "queue", "queue: another utterance's positive; centroid: the chosen cluster's centroid"
    )
    sampling: Literal["uniform", "exponential"] = option(
        "uniform",
        "how to draw among the M nearest. uniform: all alike; exponential: P(r-th) ∝ e^(−r)",
    )
    reference_seconds: float = option(
        4.0,
        "length of the reference crop, which is not augmented. With longer crops "
        "more positives have the right speaker. Shorter utterances are repeated "
        "to that length",
    )

    def __post_init__(self):
        if self.clusters < 1 or self.nearest < 0 or self.queue < 0 or self.start_epoch < 0:
            raise ValueError("clusters must be at least 1; nearest, queue, start_epoch not below 0")
        if self.nearest >= self.clusters:
            raise ValueError(
                f"nearest is {self.nearest}, but there are {self.clusters - 1} other clusters"
            )
        if self.neighbours == "knn" and (self.nearest < 1 or self.positive == "centroid"):
            raise ValueError("neighbours = knn wants nearest of at least 1 and positive = queue")
        if self.neighbours == "speakers" and (self.nearest or self.positive == "centroid"):
            raise ValueError("neighbours = speakers wants nearest = 0 and positive = queue")
        if self.mutual and self.neighbours != "knn":
            raise ValueError("mutual = true wants neighbours = knn")
        if not 0.1 <= self.reference_seconds <= 1000:
            raise ValueError("reference_seconds must be between 0.1 and 1000")


class SSPS(References):
    """The memories of SSPS, and the sampling from them; all memories are in the state.

    Draws need no state of a generator. So resuming inside an epoch is exact, and labels for the log
    cannot change a draw.

    Parameters
    ----------
    config: see ``SSPSConfig``.
    utterances: N, the size of the training set.
    reference_dim: D, length of a reference.
    positive_shape: shape of one positive, for example (D,).
    seed: seed of the draws; they depend on it and on the number of steps done.
    speakers: (N,) true speakers as numbers, needed only for ``neighbours = speakers``.

    Raises
    ------
    InputError: there are as many clusters as utterances, or positives are no embeddings although
        centroids are to replace them.
    """

    def __init__(
        self,
        config: SSPSConfig,
        utterances: int,
        reference_dim: int,
        positive_shape: tuple[int, ...],
        seed: int = 0,
        speakers: Tensor | None = None,
    ):
        super().__init__(utterances, reference_dim)
        if config.neighbours == "clusters":
            check_clusters("ssps.clusters", config.clusters, utterances)
        if config.positive == "centroid" and positive_shape != (reference_dim,):
            raise InputError(
                "ssps.positive = centroid needs positives that are embeddings: remove the "
                "projector, or use ssps.positive = queue"
            )
        self.config, self.seed = config, seed
        size = config.queue or min(config.clusters, utterances)
        self.register_buffer("queue", torch.zeros(size, *positive_shape))
        self.register_buffer("queued", torch.full((size,), -1))
        self.register_buffer("slot", torch.full((utterances,), -1))
        self.register_buffer("cluster", torch.full((utterances,), -1))
        clusters = config.clusters if config.neighbours == "clusters" else 0
        self.register_buffer("centroids", torch.zeros(clusters, reference_dim))
        self.register_buffer("near", torch.zeros(clusters, config.nearest, dtype=torch.long))
        self.groups = clusters  # number of different values in ``cluster``
        if config.neighbours == "speakers":
            self.cluster.copy_(speakers)
            self.groups = int(speakers.max()) + 1
        self.steps, self.enqueued, self.passed = 0, 0, 0
        self.filling = self.sampling = False
        self.chosen = torch.empty(0, dtype=torch.long)  # in the last step, for the log
        self.coverage = torch.zeros(())

    @property
    def bytes(self) -> int:
        """Memory of all buffers, in bytes."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers())

    def get_extra_state(self) -> dict:
        """Return the state that resuming needs besides the buffers."""
        names = ("steps", "enqueued", "passed", "filling", "sampling")
        return {name: getattr(self, name) for name in names}

    def set_extra_state(self, state: dict) -> None:
        """Restore the state that ``get_extra_state`` returned."""
        for name, value in state.items():
            setattr(self, name, value)

    def crop_group(self) -> CropGroup:
        """Return the group of crops for references: longer crops, without augmentation."""
        return CropGroup("reference", 1, self.config.reference_seconds, augment=False)

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Cluster the references if an epoch has filled them; return figures about the clusters.

        Raises:
            InputError: there are not more references than clusters.
        """
        self.sampling = self.filling and epoch >= self.config.start_epoch
        self.filling = epoch + 1 >= self.config.start_epoch
        if not self.sampling or self.config.neighbours != "clusters":
            return {}
        seed, count = self.seed + epoch, self.config.clusters
        centroids, cluster = self.clusters_of(count, seed=seed, name="ssps.clusters")
        self.centroids.copy_(centroids)
        self.cluster.copy_(cluster)
        if self.config.nearest:
            near = nearest_clusters(self.centroids, self.config.nearest)
            self.near.copy_(torch.as_tensor(near))
        sizes = torch.bincount(self.cluster[self.known], minlength=count)
        return {
            "cluster_median": float(sizes.float().median()),
            "cluster_largest": float(sizes.max()),
            "clusters_empty": float((sizes == 0).sum()),
        }

    def sample(self, utterances: Tensor, references: Tensor) -> Tensor:
        """Return the slot in the queue of each anchor's positive (batch,), −1 if there is none.

        These are the draws of c and j in the equations of the module (eqs. 3–6 of the paper). The
        authors' code may draw j = i, which is the same recording again. Here an utterance is never
        its own positive.
        """
        if not self.sampling:
            return torch.full_like(utterances, -1)
        if self.config.neighbours == "knn":
            drawn = self._neighbour(utterances, references)
            return torch.where(drawn >= 0, self.slot[drawn.clamp_min(0)], -1)
        return self._member(self._choose_cluster(utterances), utterances)

    def substitute(self, positives: Tensor, utterances: Tensor, references: Tensor) -> Tensor:
        """Return ``positives`` (batch, ...), replaced by sampled positives if there are any.

        Afterwards the anchors' own references and positives enter the memories. A sampled positive
        has no gradient; a positive that stays keeps its gradient.

        With several processes, each passes its part of the batch. The parts are gathered first,
        so all processes store and draw the same, and their memories stay equal.

        utterances: (batch,) indices into the training set.
        references: (batch, D), of any length.
        """
        if not self.filling:
            return positives
        own = own_rows(len(positives)) or slice(None)
        utterances = gather(utterances)
        references = gather(F.normalize(references.detach().float()))
        if self.config.positive == "centroid" and self.sampling:
            cluster = self._choose_cluster(utterances)
            found, memory = cluster >= 0, self.centroids[cluster.clamp_min(0)]
            self.chosen = torch.full_like(utterances, -1)
        else:
            slot = self.sample(utterances, references)
            found, memory = slot >= 0, self.queue[slot.clamp_min(0)]
            self.chosen = torch.where(found, self.queued[slot.clamp_min(0)], -1)
        self.coverage, self.chosen = found.float().mean(), self.chosen[own]
        where = found[own].view(-1, *[1] * (positives.ndim - 1))
        mixed = torch.where(where, memory[own].to(positives.dtype), positives)
        self.remember(utterances, references, gather(positives.detach()))
        return mixed

    def remember(self, utterances: Tensor, references: Tensor, positives: Tensor) -> None:
        """Store references; store positives in the queue in the place of the oldest entries.

        An utterance has only its newest entry in the queue, because two entries would make its draw
        twice as likely.
        """
        self.store(utterances, references)
        size = len(self.queue)
        utterances, positives = utterances[-size:], positives[-size:]
        count = len(utterances)
        slots = (self.enqueued + torch.arange(count, device=utterances.device)) % size
        # Places that have nothing to clear clear what is written anew below. So no shape depends on
        # values, and a GPU does not wait.
        pushed, before = self.queued[slots], self.slot[utterances]
        self.slot[torch.where(pushed >= 0, pushed, utterances[:1])] = -1
        self.queued[torch.where(before >= 0, before, slots[:1])] = -1
        self.queue[slots] = positives.to(self.queue.dtype)
        self.queued[slots] = utterances
        self.slot[utterances] = slots
        self.steps, self.enqueued = self.steps + 1, (self.enqueued + count) % size

    def _choose_cluster(self, utterances: Tensor) -> Tensor:
        """Draw a cluster for each anchor (batch,); −1 for an utterance without a cluster."""
        own = self.cluster[utterances]
        if not self.config.nearest:
            return own
        rank = self._draw_rank(len(utterances))
        return torch.where(own >= 0, self.near[own.clamp_min(0), rank], -1)

    def _member(self, cluster: Tensor, utterances: Tensor) -> Tensor:
        """Draw, for each anchor, a slot of the queue whose utterance is in ``cluster`` (batch,).

        The entries are sorted by cluster, so that members of one are neighbours: no loop over the
        batch, and no shape that depends on values.
        """
        held = torch.where(self.queued >= 0, self.cluster[self.queued.clamp_min(0)], -1)
        held = torch.where(held >= 0, held, self.groups)  # empty entries come last
        held, slots = held.sort(stable=True)
        first = torch.searchsorted(held, cluster)
        count = torch.searchsorted(held, cluster, right=True) - first
        # The place of the anchor's own entry among the members; it is skipped.
        place = torch.empty_like(slots)
        place[slots] = torch.arange(len(slots), device=cluster.device)
        own = self.slot[utterances]
        own = torch.where(own >= 0, place[own.clamp_min(0)], -1) - first
        inside = (own >= 0) & (own < count)
        count = count - inside.long()
        drawn = (self._uniform(len(cluster), stream=1) * count).long()
        drawn = torch.minimum(drawn, (count - 1).clamp_min(0))  # a draw may round up to 1.0
        drawn += (inside & (drawn >= own)).long()
        return torch.where(count > 0, slots[(first + drawn).clamp_max(len(slots) - 1)], -1)

    def _neighbour(self, utterances: Tensor, references: Tensor) -> Tensor:
        """Draw, for each anchor, one of the M utterances with the most similar references.

        −1 if neighbours must be mutual and these are not.
        """
        best = self._most_similar(utterances, references)
        rank = self._draw_rank(len(utterances)).clamp_max(best.shape[1] - 1)
        drawn = best.gather(1, rank[:, None]).squeeze(1)
        if not self.config.mutual:
            return drawn
        back = self._most_similar(drawn, self.references[drawn])
        return torch.where((back == utterances[:, None]).any(1), drawn, -1)

    def _most_similar(self, utterances: Tensor, references: Tensor) -> Tensor:
        """Return the M other utterances with the most similar references: (batch, M)."""
        similarity = references.to(self.references.dtype) @ self.references.T
        similarity = similarity.masked_fill_(~self.known, -torch.inf)
        similarity[torch.arange(len(utterances), device=utterances.device), utterances] = -torch.inf
        return similarity.topk(min(self.config.nearest, len(self.known) - 1), dim=1).indices

    def _draw_rank(self, count: int) -> Tensor:
        """Draw ranks 0…M−1 of the nearest, uniformly or with P(r) ∝ e^(−r).

        What we could read of the paper does not define its "exponential" sampling. P(r-th nearest)
        ∝ e^(−r) is our interpretation.
        """
        device = self.slot.device
        share = torch.arange(self.config.nearest, dtype=torch.float64, device=device)
        share = torch.exp(-share) if self.config.sampling == "exponential" else share * 0 + 1
        steps = (share / share.sum()).cumsum(0)
        drawn = torch.searchsorted(steps, self._uniform(count, stream=0).double())
        return drawn.clamp_max(self.config.nearest - 1)

    def _uniform(self, count: int, stream: int) -> Tensor:
        """Draw numbers in [0, 1): a function of the seed and of the number of steps done.

        They are drawn on the device, so no step copies them. A GPU draws other numbers than a CPU.
        """
        key = (self.seed * 1_000_003 + self.steps) * 2 + stream
        device = self.slot.device
        generator = torch.Generator(device).manual_seed(key % 2**63)
        drawn = torch.rand(count, generator=generator, dtype=torch.float64, device=device)
        return drawn.float()
