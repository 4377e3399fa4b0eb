"""Embeddings of many utterances, in batches. The batch has no effect on the result."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sv import distributed
from sv.crops.index import TrainingIndex
from sv.device import Precision
from sv.errors import InputError
from sv.inference.crops import EvenCrops
from sv.inference.embed_batches import (
    EmbedBatch,
    batches_by_length,
    read_ahead,
    read_crops,
    read_whole,
)
from sv.inference.embedder import Embedder
from sv.inference.parity import choose_precision
from sv.kaldi.arks import ArkWriter
from sv.progress import progress, silent

SAMPLE = 8
"""Utterances of a middle length that decide whether bfloat16 agrees with float32."""


def embed(
    embedder: Embedder,
    index: TrainingIndex,
    ark: str | Path,
    scp: str | Path,
    *,
    device: torch.device | str = "cpu",
    frames_per_batch: int = 8000,
    crops: EvenCrops | None = None,
    precision: Precision = "float32",
) -> int:
    """Write the embedding of every utterance of ``index``; return their number.

    With ``crops``, an entry is a matrix (crops, dim) with one embedding for each crop; otherwise it
    is a vector (dim,). Entries are in the order of the index. ``frames_per_batch`` limits memory
    and does not change results. ``precision``: as in ``sv.inference.parity``. Several processes
    (`sv.distributed`) share the batches of one, so the result is the same to the bit; the first
    writes. Raises ``InputError`` for features of another kind than in training, crops that are too
    short, or embeddings that are not finite.
    """
    embedder.require_features(index)
    embedder.to(device)
    torch.backends.cudnn.allow_tf32 = False  # its rounding would depend on the batch
    processes = distributed.world_size()
    shape: tuple[int, ...] = (embedder.dim,)
    frames = index.lengths
    if embedder.hears_waveforms:
        frames_per_batch = index.rows(frames_per_batch)
    if crops is not None:
        crops.require(1 if embedder.hears_waveforms else embedder.encoder.min_frames)
        shape = (crops.count, *shape)
        frames = np.full(len(index), crops.count * index.rows(crops.frames))
    batches = batches_by_length(frames, frames_per_batch)
    shares = [[*batches[part::processes], np.empty(0, np.int64)] for part in range(processes)]
    order = [np.concatenate(share) for share in shares]
    read = _reader(embedder, index, crops, torch.device(device))
    middle = batches[len(batches) // 2][:SAMPLE]
    choose_precision(embedder, precision, torch.device(device), lambda: read(middle).to(device))
    made, own = [np.empty((0, *shape), np.float32)], batches[distributed.rank() :: processes]
    bar = _Progress(index, own)
    for batch in read_ahead(read, own):
        made.append(embedder(*batch.to(device)).cpu().numpy().reshape(-1, *shape))
        bar.add(batch.rows)
    bar.close()
    joined = distributed.to_first(torch.from_numpy(np.concatenate(made)))
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


def embed_here(
    embedder: Embedder, index: TrainingIndex, device: torch.device | str, frames: int = 8000
) -> np.ndarray:
    """Return the embeddings (N, dim) of an index, by this process alone.

    ``frames``: in a batch, as ``frames_per_batch`` of ``embed``.
    """
    if embedder.hears_waveforms:
        frames = index.rows(frames)
    read = _reader(embedder, index, None, torch.device(device))
    vectors = np.empty((len(index), embedder.dim), np.float32)
    for batch in read_ahead(read, batches_by_length(index.lengths, frames)):
        vectors[batch.rows] = embedder(*batch.to(device)).cpu().numpy()
    return vectors


def _reader(
    embedder: Embedder, index: TrainingIndex, crops: EvenCrops | None, device: torch.device
) -> Callable[[np.ndarray], EmbedBatch]:
    """Return a function that reads the batch of some utterances."""
    pin = device.type == "cuda"
    if crops is not None:
        return partial(read_crops, index, crops=crops, pin=pin)
    return partial(read_whole, index, shortest=embedder.encoder.min_frames, pin=pin)


class _Progress:
    """Shows the seconds of speech that this process has embedded, and the hours beside them.

    Batches are sorted by length. So utterances would come slowly first and fast at the end, and the
    time left would be wrong.
    """

    def __init__(self, index: TrainingIndex, batches: list[np.ndarray]):
        self.index, self.exact = index, 0.0
        self.total = sum(self._seconds(rows) for rows in batches)
        how = {"total": round(self.total), "desc": "embeddings", "unit": "s of speech"}
        self.bar = (progress if distributed.is_first() else silent)(**how)

    def _seconds(self, rows: np.ndarray) -> float:
        return float(self.index.lengths[rows].sum()) * self.index.row_seconds

    def add(self, rows: np.ndarray) -> None:
        """Count the utterances of a batch."""
        self.exact += self._seconds(rows)
        hours = f"{self.exact / 3600:.2f} of {self.total / 3600:.2f} h"
        self.bar.set_postfix_str(hours, refresh=False)
        self.bar.update(round(self.exact) - self.bar.n)

    def close(self) -> None:
        """Show the last figures."""
        self.bar.close()
