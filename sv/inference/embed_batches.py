"""The batches of utterances of an embedding job: formed by frames, and read ahead in a thread.

A reading thread is enough, because reading is copying: one thread prepares some 30,000 windows a
second. Features stay 16-bit codes where the arks hold such (``sv.crops.codes``), and the device of
the network converts them, to the same bits.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sv.crops.codes import decoded, read_windows
from sv.crops.index import TrainingIndex
from sv.inference.crops import EvenCrops

AHEAD = 2
"""Batches that are read while the device computes."""


class EmbedBatch(NamedTuple):
    """Windows (n, frames, mel) of the utterances ``rows`` of an index, in one batch.

    If the index is of waveforms, windows are (n, samples).

    scales: of codes, or None for log-mel.
    lengths: (n,) real frames of each; None if all are real.
    """

    rows: np.ndarray
    windows: Tensor
    scales: Tensor | None
    lengths: Tensor | None

    def to(self, device: torch.device | str) -> tuple[Tensor, Tensor | None]:
        """Return the log-mel and the lengths on ``device``."""
        windows, scales, lengths = (
            None if values is None else values.to(device, non_blocking=True)
            for values in (self.windows, self.scales, self.lengths)
        )
        return decoded(windows, scales), lengths


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


def read_whole(index: TrainingIndex, rows: np.ndarray, shortest: int, pin: bool) -> EmbedBatch:
    """Read whole utterances, the shorter ones repeated to the length of the longest.

    shortest: frames that the encoder needs; a shorter utterance is repeated to this length.
    """
    lengths = np.maximum(index.lengths[rows], shortest).astype(np.int64)
    padded = None if (lengths == lengths[0]).all() else torch.from_numpy(lengths)
    return _read(index, rows, rows, np.zeros_like(rows), int(lengths.max()), padded, pin)


def read_crops(index: TrainingIndex, rows: np.ndarray, crops: EvenCrops, pin: bool) -> EmbedBatch:
    """Read the crops of utterances: those of the first, then those of the second, and so on."""
    length = index.rows(crops.frames)
    starts = crops.starts(index.lengths[rows], length).reshape(-1)
    repeated = np.repeat(rows, crops.count)
    return _read(index, rows, repeated, starts, length, None, pin)


def _read(
    index: TrainingIndex,
    rows: np.ndarray,
    utterances: np.ndarray,
    starts: np.ndarray,
    length: int,
    padded: Tensor | None,
    pin: bool,
) -> EmbedBatch:
    kind = torch.float32 if index.mel_bins else torch.int16  # waveforms are kept in 16 bits
    kind = torch.uint16 if index.codes else kind
    windows = torch.empty(len(utterances), length, *index.row_shape, dtype=kind, pin_memory=pin)
    scales = torch.empty(len(utterances), 2) if index.codes else None
    of_scales = None if scales is None else scales.numpy()
    read_windows(index, utterances, starts, windows.numpy(), of_scales)
    return EmbedBatch(rows, windows, scales, padded)


def read_ahead(read, batches: Iterable[np.ndarray]) -> Iterator[EmbedBatch]:
    """Yield ``read(rows)`` for all batches, in order; a thread reads the next ones meanwhile.

    An error of the thread is raised here, when its batch is due.
    """
    with ThreadPoolExecutor(1, "reader") as reader:
        waiting = []
        try:
            for rows in batches:
                waiting.append(reader.submit(read, rows))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
