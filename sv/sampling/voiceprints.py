"""A vector for each training speaker, and clusters of these vectors, for CHNS."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sv.cluster import best_of_starts
from sv.crops.front_end import FrontEnd
from sv.crops.index import TrainingIndex
from sv.crops.views import Crops
from sv.errors import InputError
from sv.progress import progress
from sv.sampling.chns import SpeakerClusters

VOICES = 3
"""Makes this stream of random numbers differ from those of training."""

BATCH = 64


def choose_utterances(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return up to ``most`` different random utterances of each speaker, in the order of speakers.

    labels: (N,) speaker of each utterance, as numbers. Returns places in the training set.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[place < most]


@torch.inference_mode()
def voiceprints(
    network: nn.Module,
    index: TrainingIndex,
    labels: np.ndarray,
    *,
    front_end: FrontEnd,
    utterances: int = 10,
    seconds: float = 3.0,
    seed: int = 0,
    epoch: int = 0,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Return the voiceprint of every speaker: (S, D) float32, of length one.

    A voiceprint is the mean of embeddings, scaled to length one (Masztalski et al. 2025, section
    3). The embeddings are those of random crops of ``seconds``, one from each of ``utterances``
    random utterances of the speaker (all, if there are fewer). Embeddings are also scaled
    to length one before the mean; this is ours, because a loss of cosines ignores their lengths.

    network: (batch, frames, mel) → (batch, D); in eval mode during this function only.
    labels: (N,) speaker of each utterance, as numbers 0…S−1.
    seed, epoch: seed of the choice; equal values give equal voiceprints.

    Raises:
        InputError: a voiceprint is zero, NaN or infinite.
    """
    rng = np.random.default_rng([seed, epoch, VOICES])
    chosen = choose_utterances(labels, utterances, rng)
    frames = front_end.frames(seconds)
    length, rows_of = index.rows(frames), index.lengths[chosen].astype(np.int64)
    starts = rng.integers(0, np.where(rows_of < length, rows_of, rows_of - length + 1))
    training = network.training
    network.eval()
    sums = None
    for rows in progress(_slices(len(chosen)), desc="voiceprints", unit="batch"):
        windows = torch.from_numpy(index.read_windows(chosen[rows], starts[rows], length))
        crops = front_end(Crops(windows[None], frames), torch.device(device))
        vectors = network(crops[0]).float()
        vectors = torch.nn.functional.normalize(vectors).cpu().double().numpy()
        sums = np.zeros((labels.max() + 1, vectors.shape[1])) if sums is None else sums
        np.add.at(sums, labels[chosen[rows]], vectors)
    network.train(training)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.min() > 0):
        raise InputError(
            "there are speakers whose voiceprint is zero or not finite: the model or its features "
            "are damaged"
        )
    return (sums / lengths).astype(np.float32)


def _slices(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


@dataclass
class Reclustering:
    """Clusters by a network in training; a subclass is a function of (network, epoch).

    labels: (N,) what each utterance belongs to, as numbers. clusters: their number K.
    """

    index: TrainingIndex
    labels: np.ndarray
    front_end: FrontEnd
    clusters: int
    seed: int
    device: torch.device | str = "cpu"

    def voiceprints(self, network: nn.Module, epoch: int, utterances: int) -> np.ndarray:
        """Return voiceprints (S, D) by ``network``, of some ``utterances`` each."""
        how = {"front_end": self.front_end, "utterances": utterances, "device": self.device}
        how |= {"seed": self.seed, "epoch": epoch}
        return voiceprints(network, self.index, self.labels, **how)


class Recluster(Reclustering):
    """Makes voiceprints and clusters with a network in training (``SpeakerBatches.recluster``)."""

    def __call__(self, network: nn.Module, epoch: int) -> SpeakerClusters:
        """Return clusters of all speakers."""
        prints = self.voiceprints(network, epoch, 10)
        how = {"init": "k-means++", "starts": 5, "iterations": 300, "converge": True}
        found = best_of_starts(prints, min(self.clusters, len(prints)), seed=self.seed, **how)
        return SpeakerClusters(found.assignments, found.centroids)
