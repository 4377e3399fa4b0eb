"""Batches of distinct speakers, and CHNS: some of the speakers come from one cluster of voices.

Masztalski et al., "Clustering-based hard negative sampling for supervised contrastive speaker
verification", Interspeech 2025 (arXiv 2507.17540). A contrastive loss learns most from negatives
that sound like the anchor, and a random batch has few of them. Here a share of the speakers of
every batch comes from one cluster of voiceprints (``sv.sampling.voiceprints``).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from sv.config import option
from sv.crops.batches import Batches
from sv.errors import InputError

SPEAKERS = 2
"""Makes this stream of random numbers differ from those of ``sv.crops``."""


@dataclass
class BatchesConfig:
    """Batches of supervised contrastive training; ``train.batch_size`` counts speakers here."""

    samples_per_epoch: int = option(
        0,
        "number of crops that count as an epoch, two for each speaker; 0: the number of utterances",
    )
    hard_ratio: float = option(
        0.0,
        "CHNS: share of a batch's speakers that come from one cluster, or from "
        "several if one has too few. 0: random batches; 1: as released. If the "
        "ratio is too high and clusters are few and large, a batch has too little "
        "variety of voices",
    )
    further: Literal["random", "similar"] = option(
        "random",
        "which further clusters to take if one has too few speakers. random: any "
        "others; similar: those with the centroids most similar to the first (harder)",
    )
    clusters: int = option(
        50,
        "number of clusters of speakers if they are made again (refresh_every). A "
        "cluster should be smaller than a batch: the published values are 118 "
        "speakers in a cluster and 650 in a batch",
    )
    refresh_every: int = option(
        0,
        "number of epochs after which the network in training makes voiceprints and "
        "clusters again; 0: never, as published",
    )

    def __post_init__(self):
        if not 0 <= self.hard_ratio <= 1:
            raise ValueError(f"hard_ratio is a share, 0 to 1, not {self.hard_ratio}")
        if min(self.samples_per_epoch, self.refresh_every) < 0 or self.clusters < 1:
            raise ValueError(
                "samples_per_epoch and refresh_every must not be negative, clusters at least 1"
            )


class SpeakerClusters:
    """Clusters of speakers, as batches need them.

    assignments: (S,) cluster of each speaker; some numbers may be unused.
    centroids: (K, D), row c is that of cluster c; None if only random clusters are needed.
    """

    def __init__(self, assignments: np.ndarray, centroids: np.ndarray | None = None):
        self.assignments = np.asarray(assignments, dtype=np.int64)
        self.centroids = centroids
        used, dense = np.unique(self.assignments, return_inverse=True)
        self.sizes = np.bincount(dense)
        order = np.argsort(dense, kind="stable")
        self.members = np.split(order, np.cumsum(self.sizes)[:-1])
        self.nearest = None
        if centroids is not None:
            rows = np.asarray(centroids, dtype=np.float64)[used]
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
            similarity = rows @ rows.T
            np.fill_diagonal(similarity, np.inf)  # each cluster is the first of its own list
            self.nearest = np.argsort(-similarity, axis=1, kind="stable")

    @property
    def fingerprint(self) -> str:
        """A hash of the assignments and of the similarity of clusters, which determine batches."""
        nearest = b"" if self.nearest is None else self.nearest.tobytes()
        return hashlib.sha256(self.assignments.tobytes() + nearest).hexdigest()[:12]

    def take(self, count: int, further: str, rng: np.random.Generator) -> np.ndarray:
        """Return ``count`` speakers of a random cluster, and of further ones if it is too small.

        All clusters are equally likely to be the first. All speakers of a cluster are taken, except
        from the last cluster, which gives random speakers.

        The first cluster is drawn as published ("one random cluster"). So speakers of small
        clusters are in more batches, unless the hard ratio is 1 and a batch is larger than most
        clusters.
        """
        order = rng.permutation(len(self.sizes))
        if further == "similar":
            order = self.nearest[order[0]]
        ends = np.cumsum(self.sizes[order])
        last = int(np.searchsorted(ends, count))
        whole = [self.members[cluster] for cluster in order[:last]]
        rest = count - (ends[last - 1] if last else 0)
        return np.concatenate([*whole, rng.permutation(self.members[order[last]])[:rest]])


class SpeakerBatches(Batches):
    """Two utterances of each of ``batch_size`` distinct speakers: (2, batch) for any (epoch, step).

    A batch is a pure function of seed, epoch and step. All speakers are equally likely, whatever
    their number of utterances; the two utterances of a speaker are random and different. A speaker
    with one utterance gives it twice, for two crops. With ``clusters``, ⌊ratio · batch_size⌋
    speakers are hard negatives of each other (``SpeakerClusters.take``), and the rest is drawn from
    all other speakers. With ratio 0 the batches are the same as without clusters, so a difference
    between base and CHNS comes from the negatives alone (``tests/sampling/test_chns.py``).

    Parameters
    ----------
    labels: (N,) speaker of each utterance, as numbers 0…S−1.
    batch_size: number of speakers in a batch, over all processes.
    samples: number of crops that count as an epoch; 0: the number of utterances.
    clusters, ratio, further: see ``BatchesConfig``.
    recluster: a function of (network, epoch) that returns new clusters.
    refresh_every: epochs after which the training loop calls ``refresh``; 0: never.

    Raises
    ------
    InputError: there are fewer speakers than ``batch_size``, or the clusters do not fit.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        samples: int = 0,
        clusters: SpeakerClusters | None = None,
        ratio: float = 0.0,
        further: str = "random",
        recluster: Callable[..., SpeakerClusters] | None = None,
        refresh_every: int = 0,
    ):
        self.counts = np.bincount(labels)
        self.order = np.argsort(labels, kind="stable")
        self.first = np.cumsum(self.counts) - self.counts
        self.speakers, self.batch_size, self.seed = len(self.counts), batch_size, seed
        self.steps = max(1, (samples or len(labels)) // (2 * batch_size))
        self.clusters, self.hard, self.further = clusters, int(ratio * batch_size + 1e-9), further
        self.recluster, self.refresh_every = recluster, refresh_every if self.hard else 0
        self._check()
        digest = hashlib.sha256(labels.astype(np.int64).tobytes())
        if self.hard:
            digest.update(self.clusters.fingerprint.encode())
        self.fingerprint = digest.hexdigest()[:12]

    def _check(self) -> None:
        if self.batch_size > self.speakers:
            raise InputError(
                f"train.batch_size is {self.batch_size} but the training set has {self.speakers} "
                "speakers, each of which is in a batch once: lower it (--set train.batch_size=…)"
            )
        if self.hard and self.clusters is None:
            raise InputError(
                "batches.hard_ratio is above 0 but there are no clusters of speakers: give "
                "--clusters (made by stage 4)"
            )
        if self.hard and len(self.clusters.assignments) != self.speakers:
            raise InputError(
                f"the clusters have {len(self.clusters.assignments)} speakers, the labels "
                f"{self.speakers}: make the clusters again for this training set (stage 4)"
            )
        if self.hard and self.further == "similar" and self.clusters.nearest is None:
            raise InputError("batches.further is similar but the clusters have no centroids")

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return the utterances (2, batch) of a step, over all processes."""
        rng = np.random.default_rng([self.seed, epoch, step, SPEAKERS])
        speakers = self.choose(rng)
        return self.order[self.first[speakers] + two_of_each(self.counts[speakers], rng)]

    def choose(self, rng: np.random.Generator) -> np.ndarray:
        """Return the speakers (batch_size,) of a batch, all different, in random order."""
        if not self.hard:
            return rng.choice(self.speakers, self.batch_size, replace=False)
        hard = self.clusters.take(self.hard, self.further, rng)
        free = np.ones(self.speakers, dtype=bool)
        free[hard] = False
        rest = rng.choice(np.flatnonzero(free), self.batch_size - len(hard), replace=False)
        return rng.permutation(np.concatenate([hard, rest]))

    def figures(self, epoch: int) -> dict[str, float]:
        """Return figures about the batches of an epoch, over all processes, for its log.

        - ``speakers_seen``: number of different speakers;
        - ``same_cluster``: share of negatives from the anchor's own cluster.

        The batches are drawn again, which takes milliseconds each (``python -m benchmarks.run
        speaker_batches``). So resuming needs no state for these figures.
        """
        seen, same, pairs = np.zeros(self.speakers, dtype=bool), 0, 0
        for step in range(self.steps):
            rng = np.random.default_rng([self.seed, epoch, step, SPEAKERS])
            speakers = self.choose(rng)
            seen[speakers] = True
            if self.clusters is not None:
                alike = np.bincount(self.clusters.assignments[speakers])
                same += int((alike * (alike - 1)).sum())
                pairs += self.batch_size * (self.batch_size - 1)
        found = {"speakers_seen": float(seen.sum())}
        return found | ({"same_cluster": same / pairs} if pairs else {})

    def refresh(self, network, epoch: int) -> None:
        """Make new clusters with a network, which must be the same in every process."""
        self.clusters = self.recluster(network, epoch)

    def state_dict(self) -> dict:
        """Return the state for resuming in the middle of an epoch: the clusters, if they change."""
        if not self.refresh_every or self.clusters is None:
            return {}
        arrays = {"assignments": self.clusters.assignments, "centroids": self.clusters.centroids}
        return {k: torch.as_tensor(v).clone() for k, v in arrays.items() if v is not None}

    def load_state_dict(self, state: dict) -> None:
        """Restore the clusters that ``state_dict`` returned."""
        if state:
            self.clusters = SpeakerClusters(**{k: v.numpy() for k, v in state.items()})


def two_of_each(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return two different numbers below each of ``counts``: (2, n); 0 and 0 if the count is 1."""
    first = rng.integers(0, counts)
    other = rng.integers(0, np.maximum(counts - 1, 1))
    return np.stack([first, np.where(counts > 1, other + (other >= first), 0)])
