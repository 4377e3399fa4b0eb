"""Reads audio files block by block, so that memory does not grow with their length."""

import math
import os
from collections.abc import Iterable, Iterator

import numpy as np

from sv.audio.channel_choice import to_mono_in_blocks
from sv.audio.files import check_numbers, resample, say_channels, say_rate
from sv.audio.source import Info, open_audio
from sv.errors import AudioError

BLOCK = 1 << 20
"""Samples read at a time, all channels together."""
TAPS = 10
"""Half the length of scipy's default filter of ``resample_poly``, in samples of the lower rate."""


def stream_audio(
    path: str | os.PathLike, sample_rate: int = 16000, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Yield the samples that ``read_audio`` returns, in blocks (samples,), float32.

    Raises:
        AudioError: as ``read_audio``. A file that is damaged near its end, or whose channels cancel
            each other, is found after the blocks before.
    """
    with open_audio(path) as audio:
        rate = audio.measure().rate
        found: list[Info] = []
        blocks = _checked(audio.blocks(found, block=BLOCK), None if channel is not None else path)
        mono = to_mono_in_blocks(blocks, channel)
        if rate == sample_rate:
            yield from mono
        else:
            say_rate(path, rate, sample_rate)
            yield from resample_blocks(mono, rate, sample_rate)
        _refuse_empty(found)


def _checked(
    blocks: Iterable[np.ndarray], averaged: str | os.PathLike | None
) -> Iterator[np.ndarray]:
    """Yield the blocks, checked; ``averaged``: the file, if its channels are averaged."""
    for number, block in enumerate(blocks):
        check_numbers(block)
        if averaged is not None and number == 0:
            say_channels(averaged, block)
        yield block


def _refuse_empty(found: list[Info]) -> None:
    if sum(info.samples for info in found) == 0:
        raise AudioError("holds no samples: remove it from the list")


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """Yield ``resample`` of the joined blocks (samples,), block by block, up to rounding.

    A block begins at a multiple of ``down`` samples, where a sample of the result begins too, and
    has the context that the filter sees.
    """
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    context = (math.ceil(TAPS * max(up, down) / up / down) + 1) * down
    kept, behind = np.empty(0, np.float32), 0  # behind: samples of context before the next output
    for block in blocks:
        kept = np.concatenate((kept, block))
        ready = (len(kept) - context) // down * down  # samples up to here have their context
        if ready <= behind:
            continue
        yield resample(kept, rate, new_rate)[behind // down * up : ready // down * up]
        begin = max(0, ready - context)
        kept, behind = kept[begin:].copy(), ready - begin
    if len(kept):
        yield resample(kept, rate, new_rate)[behind // down * up :]
