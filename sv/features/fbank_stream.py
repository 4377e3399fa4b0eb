"""Filterbanks of a waveform that comes in blocks: the frames of the whole, a block at a time."""

from collections.abc import Iterable, Iterator

import numpy as np

from sv.features.filterbank import fbank
from sv.features.framing import frame_sizes, num_frames
from sv.features.presets import definition

MARGIN = 3
"""Frames of context for centred frames, because a block is no end, where ``fbank`` would mirror."""

PIECE = 1 << 18


def fbank_of_blocks(
    blocks: Iterable[np.ndarray], sample_rate: int, mel_bins: int, preset: str = "kaldi"
) -> Iterator[np.ndarray]:
    """Yield the log mel energies (frames, mel) of consecutive ``blocks`` (samples,), float32.

    Joined, they equal ``fbank`` of the joined blocks up to rounding. Nothing comes if all blocks
    together are shorter than a frame.
    """
    window, shift, _ = frame_sizes(sample_rate)
    margin = MARGIN if definition(preset).centred else 0
    kept = np.empty(0, np.float32)
    begun, given = 0, 0  # first frame in `kept`, and frames that have been yielded
    for block in _small(blocks):
        kept = np.concatenate((kept, block.astype(np.float32, copy=False)))
        ready = begun + (len(kept) - window) // shift + 1 - margin if len(kept) >= window else 0
        if ready <= given:
            continue
        features = fbank(kept, sample_rate, mel_bins, preset)
        yield features[given - begun : ready - begun]
        given = ready
        begin = max(0, given - margin)
        kept, begun = kept[(begin - begun) * shift :].copy(), begin
    if num_frames(len(kept), sample_rate, preset) > given - begun:
        yield fbank(kept, sample_rate, mel_bins, preset)[given - begun :]


def _small(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Cut blocks to ``PIECE`` samples, so that what is computed on the way needs little memory."""
    for block in blocks:
        for start in range(0, len(block), PIECE):
            yield block[start : start + PIECE]
