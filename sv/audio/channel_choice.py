"""The choice of a channel of a file: the mean of all channels, or one of them."""

import argparse
from collections.abc import Iterable, Iterator

import numpy as np

from sv.errors import AudioError, Cancelling
from sv.numbers import whole

FULL_SCALE = 32768.0
CHANNEL = whole(-1, 1023)
CANCEL = 0.1
"""Channels cancel if their mean has less than this share of the power that the mean of unrelated
channels would have."""
ALIKE = 0.5
"""Two channels differ if their correlation is below this."""
QUIET = 1e-4
"""A channel is empty if its power is below this share of the power of the loudest channel."""
BLOCK = 1 << 20


def add_channel(p: argparse.ArgumentParser) -> None:
    """Add ``--channel`` to a program that reads audio."""
    p.add_argument(
        "--channel",
        type=CHANNEL,
        metavar="N",
        help="channel of a file to take, counted from 0 as in Kaldi: 0 is the left one. "
        "-1 refuses files with more than one. Default: the mean of all, which is "
        "wrong if two people speak on two channels, or if one channel is the "
        "negative of the other",
    )


def to_mono(samples: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Return decoded samples as float32 (samples,), full scale 1.0.

    The mean is the default, because the mean of two microphones is better than either of them.

    ``samples``: (samples,) or (samples, channels), int16 or float32. ``channel``: None takes the
    mean, a number from 0 takes this channel, and -1 allows files with one channel only.

    Raises:
        AudioError: there is no such channel, or there are several and ``channel`` is -1.
        Cancelling: the channels cancel each other in their mean.
    """
    if samples.ndim == 2 and channel is None:
        refuse_cancelling(covariance([samples]))
    return _one(samples, channel)


def to_mono_in_blocks(
    blocks: Iterable[np.ndarray], channel: int | None = None
) -> Iterator[np.ndarray]:
    """Yield ``to_mono`` of each of the blocks of one recording, which have equal channels.

    Raises:
        AudioError: as ``to_mono``; that channels cancel each other is known after the last block.
    """
    sums = Covariance()
    for block in blocks:
        if block.ndim == 2 and channel is None:
            sums.add(block)
        yield _one(block, channel)
    if sums.count:
        refuse_cancelling(sums.value())


def _one(samples: np.ndarray, channel: int | None) -> np.ndarray:
    scale = np.float32(1 / FULL_SCALE if samples.dtype == np.int16 else 1)
    check_channel(1 if samples.ndim == 1 else samples.shape[1], channel)
    if samples.ndim == 2 and channel is not None:
        samples = samples[:, max(int(channel), 0)].astype(np.float32)
    elif samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    return samples * scale if scale != 1 else samples


def check_channel(channels: int, channel: int | None) -> None:
    """Raise ``AudioError`` if a file with ``channels`` channels lacks ``channel``."""
    if channel is not None and not isinstance(channel, int):
        CHANNEL.check(channel, "the channel")
    if channel is None or (channel == -1 and channels == 1) or 0 <= channel < channels:
        return
    what = "1 channel" if channels == 1 else f"{channels} channels"
    if channel == -1:
        raise AudioError(f"has {what}, and --channel -1 allows one: choose it (--channel 0)")
    raise AudioError(
        f"has {what}, counted from 0, and --channel {channel} is none of them: choose another, or "
        "leave the file out"
    )


def refuse_cancelling(shared: np.ndarray) -> None:
    """Raise ``Cancelling`` if channels with this covariance cancel each other in their mean."""
    channels, powers = len(shared), np.diag(shared)
    # The mean of unrelated channels has 1/channels of their mean power.
    if channels > 1 and shared.sum() / channels**2 < CANCEL * powers.mean() / channels:
        raise Cancelling(
            f"has {channels} channels that cancel each other in their mean (one is wired the wrong "
            f"way round?): take one of them, --channel {int(powers.argmax())}"
        )


def unlike(samples: np.ndarray) -> str | None:
    """Return a message about channels of (samples, channels) that differ, or None.

    Two people on the two channels of a telephone call have a correlation near 0. One person before
    two microphones usually has a higher one.
    """
    if samples.ndim == 1 or samples.shape[1] < 2 or len(samples) == 0:
        return None
    shared = covariance([samples])
    powers = np.diag(shared)
    loud = np.flatnonzero(powers > QUIET * powers.max()) if powers.max() > 0 else []
    if len(loud) < 2:
        return None
    scale = np.sqrt(powers[loud])
    lowest = float((shared[np.ix_(loud, loud)] / np.outer(scale, scale)).min())
    if lowest >= ALIKE:
        return None
    return (
        f"has {len(powers)} channels that differ (correlation {lowest:.2f}; two people? --channel "
        "takes one)"
    )


class Covariance:
    """The covariance of channels, from samples (samples, channels) that are added in blocks."""

    def __init__(self) -> None:
        self.products, self.sums, self.count = np.zeros((0, 0)), np.zeros(0), 0

    def add(self, samples: np.ndarray) -> None:
        """Add a block; all blocks have equal channels."""
        if not self.sums.size:
            self.products = np.zeros((samples.shape[1],) * 2)
            self.sums = np.zeros(samples.shape[1])
        self.count += len(samples)
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK].astype(np.float64)
            self.products += block.T @ block
            self.sums += block.sum(axis=0)

    def value(self) -> np.ndarray:
        """Return the covariance (channels, channels)."""
        means = self.sums / max(1, self.count)
        return self.products / max(1, self.count) - np.outer(means, means)


def covariance(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Return the covariance (channels, channels) of blocks (samples, channels)."""
    sums = Covariance()
    for block in blocks:
        sums.add(block)
    return sums.value()
