"""Evenly spaced crops of an utterance, embedded one by one, as the papers evaluate.

The score of a trial is then the mean cosine over all pairs of a crop of one utterance and a crop of
the other (``sv.scoring.cosine``). Lepage & Dehak 2024 use 10 crops of 3.5 s. An utterance that is
shorter than a crop is repeated to the crop's length, as in their code.
"""

from typing import NamedTuple

import numpy as np

from sv.errors import InputError

SECONDS = 3.5


class EvenCrops(NamedTuple):
    """``count`` crops of ``seconds`` each, from the beginning of an utterance to its end."""

    count: int
    seconds: float = SECONDS

    @property
    def frames(self) -> int:
        """Number of frames of 10 ms in a crop."""
        return round(100 * self.seconds)

    def starts(self, lengths: np.ndarray, crop: int) -> np.ndarray:
        """Return the first rows (n, count) of crops of ``crop`` rows; lengths: (n,) in rows."""
        last = np.maximum(np.asarray(lengths, np.int64) - crop, 0)
        return np.linspace(0, last, self.count, axis=-1).astype(np.int64)

    def cut(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Return the crops of a waveform (samples,): (count, samples of a crop)."""
        length = round(self.seconds * sample_rate)
        if len(samples) < length:
            samples = np.resize(samples, length)  # repeats them
        starts = self.starts(np.array([len(samples)]), length)[0]
        return np.stack([samples[start : start + length] for start in starts])

    def require(self, frames: int) -> None:
        """Raise ``InputError`` unless a crop has at least ``frames`` frames."""
        if self.frames < frames:
            raise InputError(
                f"crops of {self.seconds:g} s are too short for the encoder, which needs at least "
                f"{frames / 100:g} s: raise --crop-seconds"
            )
