"""Cepstra of filterbanks, for systems without a network: statistics of an utterance, i-vectors."""

import numpy as np
from scipy.fft import dct


def cepstra(features: np.ndarray, count: int) -> np.ndarray:
    """Return cepstra 1 to ``count`` (frames, count) of log-mel ``features`` (frames, mel).

    Cepstrum 0, the level, is left out: it says how loud the recording is.
    """
    return dct(features, type=2, norm="ortho", axis=1)[:, 1 : count + 1]


def moments(features: np.ndarray, deviation: bool) -> np.ndarray:
    """Return the mean over frames of ``features`` (frames, d), with ``deviation`` theirs too."""
    mean = features.mean(axis=0, dtype=np.float64)
    parts = [mean, features.std(axis=0, dtype=np.float64)] if deviation else [mean]
    return np.concatenate(parts).astype(np.float32)


def voiced(features: np.ndarray) -> np.ndarray:
    """Return which frames (frames,) are loud: their level is above the middle of its range.

    The level is the mean of the log-mel bands, its range that between the percentiles 5 and 95.
    """
    level = features.mean(axis=1)
    low, high = np.percentile(level, [5, 95])
    return level >= (low + high) / 2


def normalised_frames(features: np.ndarray, count: int = 19) -> np.ndarray:
    """Return loud frames of cepstra and their slopes (loud frames, 2 count), less their mean.

    The slope is the regression over two frames to either side, as deltas are in HTK. The mean is
    the long-term spectrum, voice and channel together, so a system on these frames does not see it.
    """
    static = cepstra(features, count)
    ends = np.pad(static, ((2, 2), (0, 0)), mode="edge")
    slope = (ends[3:-1] - ends[1:-3] + 2 * (ends[4:] - ends[:-4])) / 10
    frames = np.concatenate([static, slope], axis=1)[voiced(features)]
    return frames - frames.mean(axis=0)
