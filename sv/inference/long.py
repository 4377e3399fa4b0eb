"""Embeddings of recordings of any length, in bounded memory.

A recording longer than ``LONG_SECONDS`` is encoded in blocks of 10 s. Most encoders give the
embedding of the whole recording: blocks overlap by as many frames as convolutions see, and means
and attention are sums over all blocks (``sv.encoders.blocks``). This takes more time than one pass,
because each sum over all frames needs a pass of its own.

An encoder with attention or recurrence over all frames (``Encoder.reach`` is None) hears equal
parts of at most 10 s instead, and the embedding is the mean of theirs. That is an
approximation: in one pass, its memory would grow with the square of the length.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sv.encoders.base import Encoder
from sv.encoders.blocks import Block, Sums, Unfinished
from sv.features.framing import FRAMES_PER_SECOND
from sv.features.normalise import Normalisation

LONG_SECONDS = 120
"""A recording up to this length is encoded in one pass."""
BLOCK_SECONDS = 10
"""Length of a block without its context, and the longest part of an approximation."""

Tick = Callable[[float], None]
"""Is called with the share of the work that has been done, from 0 to 1."""


def is_long(length: int, sample_rate: int | None) -> bool:
    """Tell whether so many frames, or samples at ``sample_rate``, are encoded in blocks."""
    return length > LONG_SECONDS * (sample_rate or FRAMES_PER_SECOND)


def encode_long(
    encoder: Encoder,
    features: Tensor,
    kind: Normalisation = "none",
    tick: Tick = lambda share: None,
    core: int | None = None,
) -> Tensor:
    """Return the embedding (1, dim) of one recording.

    Parameters
    ----------
    features: (frames, mel), or (samples,) if the encoder hears waveforms, on any device; blocks
        move to that of the encoder.
    kind: normalisation of features, by the statistics of the whole recording.
    tick: see ``Tick``.
    core: frames (samples) in a block, for tests; by default as many as last ``BLOCK_SECONDS``.
    """
    core = core or BLOCK_SECONDS * (encoder.sample_rate or FRAMES_PER_SECOND)
    shift, scale = _statistics(features, kind, core)
    device = next(encoder.parameters()).device

    def read(start: int, stop: int) -> Tensor:
        part = features[start:stop]
        return (part if shift is None else (part - shift) / scale)[None].to(device)

    if encoder.reach is None:
        return _mean_of_parts(encoder, read, len(features), core, tick)
    blocks = list(_cut(len(features), core, encoder.reach, encoder.hop))
    total = _passes(encoder, read(*blocks[0][:2]))
    work = len(blocks) * total * (total + 1) / 2  # the n-th pass goes n steps into the network
    sums, done = Sums(), 0.0
    while True:
        for first, last, start, stop in blocks:
            try:
                vector = encoder(read(first, last), Block(sums, start - first, stop - first))
            except Unfinished:
                done += len(sums.known) + 1
                tick(min(1.0, done / work))
            else:
                tick(1.0)
                return vector
        sums.finish_pass()


def _statistics(
    features: Tensor, kind: Normalisation, core: int
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return what to subtract from each band, and by what to divide it."""
    if kind == "none":
        return None, None
    first = torch.zeros(features.shape[1:], dtype=torch.float64, device=features.device)
    second = torch.zeros_like(first)
    for part in features.split(core):
        first += part.sum(0, dtype=torch.float64)
        second += part.double().square().sum(0)
    mean = first / len(features)
    if kind == "mean":
        return mean.float(), torch.ones_like(mean).float()
    variance = (second / len(features) - mean.square()).clamp_min(0.0)
    return mean.float(), (variance + 1e-5).sqrt().float()


def _cut(frames: int, core: int, reach: int, hop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first, last, start, stop): the block with its context, and the frames that count."""
    core, reach = -(-core // hop) * hop, -(-reach // hop) * hop
    for start in range(0, frames, core):
        stop = min(start + core, frames)
        yield max(0, start - reach), min(stop + reach, frames), start, stop


def _passes(encoder: Encoder, features: Tensor) -> int:
    """Return how many sums over all frames the encoder needs."""
    counting = Sums()
    short = features[:, : 10 * encoder.hop]
    while True:
        try:
            encoder(short, Block(counting, 0, short.shape[1]))
        except Unfinished:
            counting.finish_pass()
        else:
            return len(counting.known)


def _mean_of_parts(
    encoder: Encoder, read: Callable[[int, int], Tensor], length: int, core: int, tick: Tick
) -> Tensor:
    count = -(-length // core)
    edges = [round(length * number / count) for number in range(count + 1)]
    total = torch.zeros(1, encoder.embedding_dim, dtype=torch.float64)
    for number in range(count):
        total += encoder(read(edges[number], edges[number + 1])).double().cpu()
        tick((number + 1) / count)
    return (total / count).float().to(next(encoder.parameters()).device)
