"""Embeddings of many utterances, in batches. The batch has no effect on the result."""

from pathlib import Path

import numpy as np
import torch

from sv import distributed
from sv.crops.index import TrainingIndex
from sv.errors import InputError
from sv.inference.crops import EvenCrops
from sv.inference.embedder import Embedder
from sv.kaldi.arks import ArkWriter
from sv.progress import progress, silent


def batches_by_length(frames: np.ndarray, frames_per_batch: int) -> list[np.ndarray]:
    """Group utterances of similar length; return arrays of indices, longest utterances first.

    A batch holds at most ``frames_per_batch`` frames, padding included, and at least one
    utterance. The longest come first, so that a batch that is too large fails at once.
    """
    order = np.argsort(-frames.astype(np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, frames_per_batch // max(1, int(frames[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def embed(
    embedder: Embedder,
    index: TrainingIndex,
    ark: str | Path,
    scp: str | Path,
    *,
    device: torch.device | str = "cpu",
    frames_per_batch: int = 8000,
    crops: EvenCrops | None = None,
) -> int:
    """Write the embedding of every utterance of ``index``; return their number.

    With ``crops``, an entry is a matrix (crops, dim) with one embedding for each crop; otherwise it
    is a vector (dim,). Entries are in the order of the index. ``frames_per_batch`` limits memory
    and does not change results. Several processes (`sv.distributed`) share the batches of one, so
    the result is the same to the bit; the first writes. Raises ``InputError`` for features of
    another kind than in training, crops that are too short, or embeddings that are not finite.
    """
    embedder.require_features(index)
    embedder.to(device)
    torch.backends.cudnn.allow_tf32 = False  # its rounding would depend on the batch
    processes, first = distributed.world_size(), distributed.is_first()
    shape: tuple[int, ...] = (embedder.encoder.embedding_dim,)
    frames = index.lengths
    if crops is not None:
        crops.require(embedder.encoder.min_frames)
        shape = (crops.count, *shape)
        frames = np.full(len(index), crops.count * crops.frames)
    batches = batches_by_length(frames, frames_per_batch)
    shares = [[*batches[part::processes], np.empty(0, np.int64)] for part in range(processes)]
    order = [np.concatenate(share) for share in shares]
    own = np.zeros((len(order[distributed.rank()]), *shape), np.float32)
    bar = (progress if first else silent)(total=len(own), desc="embeddings", unit="utt")
    done = 0
    for rows in batches[distributed.rank() :: processes]:
        made = (
            _whole(embedder, index, rows, device)
            if crops is None
            else _cropped(embedder, index, rows, device, crops)
        )
        own[done : done + len(rows)] = made.cpu().numpy().reshape(-1, *shape)
        done += len(rows)
        bar.update(len(rows))
    bar.close()
    joined = distributed.to_first(torch.from_numpy(own))
    if joined is None:
        return len(index)
    vectors = np.empty((len(index), *shape), np.float32)
    vectors[np.concatenate(order)] = joined.numpy()
    bad = np.flatnonzero(~np.isfinite(vectors).reshape(len(vectors), -1).all(axis=1))
    if len(bad):
        raise InputError(
            f"{len(bad)} embeddings are not finite, the first of {index.ids(bad[0])}: the model or "
            "its features are damaged"
        )
    with ArkWriter(ark, scp) as writer:
        for row, vector in enumerate(vectors):
            writer.write(index.ids(row), vector)
    return len(index)


def _whole(
    embedder: Embedder, index: TrainingIndex, rows: np.ndarray, device: torch.device | str
) -> torch.Tensor:
    """Return the embeddings (rows, dim) of whole utterances, in one padded batch."""
    lengths = np.maximum(index.lengths[rows], embedder.encoder.min_frames)
    zeros = np.zeros(len(rows), dtype=np.int64)
    features = index.read_windows(rows, zeros, int(lengths.max()))
    given = torch.from_numpy(lengths.astype(np.int64)).to(device)
    padded = None if (lengths == lengths[0]).all() else given
    return embedder(torch.from_numpy(features).to(device), padded)


def _cropped(
    embedder: Embedder,
    index: TrainingIndex,
    rows: np.ndarray,
    device: torch.device | str,
    crops: EvenCrops,
) -> torch.Tensor:
    """Return the embeddings (rows * crops, dim) of crops of utterances, in one batch."""
    starts = crops.starts(index.lengths[rows], crops.frames).reshape(-1)
    features = index.read_windows(np.repeat(rows, crops.count), starts, crops.frames)
    return embedder(torch.from_numpy(features).to(device))
