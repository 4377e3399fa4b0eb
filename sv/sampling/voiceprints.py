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
"""Sets the stream of random numbers apart from those of training."""

BATCH = 64


def choose_utterances(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return up to ``most`` random utterances of each speaker, all different, by speaker."""
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

    Of each speaker ``utterances`` random ones (all, if there are fewer), a random crop of
    ``seconds`` of each, their embeddings, the mean, scaled to length one (Masztalski et al. 2025,
    section 3). Embeddings are scaled to length one before the mean as well, which is ours: their
    lengths mean nothing to a loss of cosines.

    network: (batch, frames, mel) → (batch, D); put into eval mode here and back again.
    seed, epoch: of the choice; equal ones give equal voiceprints.
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
            "there are speakers whose voiceprint is not finite or zero: the model or its features "
            "are damaged"
        )
    return (sums / lengths).astype(np.float32)


def _slices(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


@dataclass
class Recluster:
    """Voiceprints and clusters by a network in training, for ``SpeakerBatches.recluster``."""

    index: TrainingIndex
    labels: np.ndarray
    front_end: FrontEnd
    clusters: int
    seed: int
    device: torch.device | str = "cpu"

    def __call__(self, network: nn.Module, epoch: int) -> SpeakerClusters:
        """Return clusters of all speakers."""
        prints = voiceprints(
            network,
            self.index,
            self.labels,
            front_end=self.front_end,
            seed=self.seed,
            epoch=epoch,
            device=self.device,
        )
        how = {"init": "k-means++", "starts": 5, "iterations": 300, "converge": True}
        found = best_of_starts(prints, min(self.clusters, len(prints)), seed=self.seed, **how)
        return SpeakerClusters(found.assignments, found.centroids)
