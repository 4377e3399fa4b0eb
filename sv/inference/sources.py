"""Scores of recordings in which several people may speak: the best pair of sources decides.

A separative encoder gives an embedding for every source. The question is whether the enrolled
speaker is AMONG the speakers of a recording. The score is the largest cosine over the sources of
the recording, because a single embedding can only be of one speaker. A source with a small share of
the energy is a remainder of the separation, not a speaker, and is left out.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sv.crops.index import TrainingIndex
from sv.data.trials import Trials
from sv.encoders.separative import SeparativeEncoder
from sv.errors import InputError
from sv.features.normalise import normalise
from sv.inference.embed import batches_by_length
from sv.inference.embedder import Embedder
from sv.progress import progress


class SourceEmbeddings(NamedTuple):
    """Vectors of unit length (utterances, sources, dim); energy shares (utterances, sources)."""

    vectors: np.ndarray
    shares: np.ndarray


@torch.inference_mode()
def embed_sources(
    embedder: Embedder,
    index: TrainingIndex,
    *,
    frames_per_batch: int = 8000,
    device: torch.device | str = "cpu",
) -> SourceEmbeddings:
    """Return the embedding of every source of every utterance, in the order of the index.

    device: the encoder is moved to it.

    Raises:
        InputError: the model does not separate, or was trained on other features.
    """
    encoder = embedder.encoder
    if not isinstance(encoder, SeparativeEncoder):
        raise InputError(
            f"the model's encoder is {embedder.settings['name']}: only a separative one has sources"
        )
    embedder.require_features(index)
    encoder.to(device)
    vectors = np.zeros((len(index), encoder.sources, encoder.embedding_dim), dtype=np.float32)
    shares = np.zeros((len(index), encoder.sources), dtype=np.float32)
    bar = progress(total=len(index), desc="sources", unit="utt")
    for rows in batches_by_length(index.lengths, frames_per_batch):
        frames = index.lengths[rows]
        features = index.read_windows(rows, np.zeros(len(rows), np.int64), int(frames.max()))
        lengths = torch.from_numpy(frames.astype(np.int64)).to(device)
        ready = normalise(torch.from_numpy(features).to(device), embedder.normalise, lengths)
        found = encoder.separate(ready, lengths)
        vectors[rows] = torch.nn.functional.normalize(found.embeddings, dim=2).cpu().numpy()
        shares[rows] = found.shares.cpu().numpy()
        bar.update(len(rows))
    bar.close()
    return SourceEmbeddings(vectors, shares)


def best_pairs(
    found: SourceEmbeddings, enrol: np.ndarray, test: np.ndarray, least_share: float = 0.1
) -> np.ndarray:
    """Return the largest cosine (trials,) of a source of one side with a source of the other.

    enrol, test: (trials,) rows of ``found``. Sources below ``least_share`` of the energy are left
    out, except the loudest.
    """
    loudest = found.shares == found.shares.max(axis=1, keepdims=True)
    speaks = loudest | (found.shares >= least_share)
    scores = np.empty(len(enrol), dtype=np.float32)
    for start in range(0, len(enrol), 4096):
        part = slice(start, start + 4096)
        a, b = enrol[part], test[part]
        cosines = np.einsum("nsd,ntd->nst", found.vectors[a], found.vectors[b])
        cosines[~(speaks[a][:, :, None] & speaks[b][:, None, :])] = -np.inf
        scores[part] = cosines.max(axis=(1, 2))
    return scores


def score_sources(
    model: str | Path,
    data: str | Path,
    trials: Trials,
    least_share: float = 0.1,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Return the scores (trials,) of a trial list by the best pair of sources."""
    index = TrainingIndex.load(data)
    rows = trials.rows_of(index.ids(slice(None)), str(data))
    found = embed_sources(Embedder.load(model), index, device=device)
    return best_pairs(found, rows[trials.enrol], rows[trials.test], least_share)
