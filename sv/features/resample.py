"""Resamples waveforms on their own device, for changes of speed.

The filter is a windowed sinc of unit height, cut off a little below the lower of the two Nyquist
frequencies:

    y[j] = sum over k of x[k] h(k - j s / t),   h(u) = c sinc(c u) cos^2(pi c u / (2 Z)),  |c u| < Z

for s source samples to t target samples, with c = ROLLOFF min(1, t / s) and Z = ZEROS. The numbers
are those of ``torchaudio.functional.resample`` with its defaults, but torchaudio is not needed.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

ROLLOFF = 0.99
"""Cutoff of the filter, as a share of the lower Nyquist frequency."""
ZEROS = 6
"""Zero crossings of the sinc on either side; with more, the filter is steeper but slower."""


def resample(waves: Tensor, source: int, target: int) -> Tensor:
    """Return (..., samples * target / source, rounded up) from ``waves`` (..., samples).

    waves: floating point. source, target: rates; only their ratio counts.
    """
    common = math.gcd(source, target)
    source, target = source // common, target // common
    filters, reach = _filters(source, target)
    samples = waves.shape[-1]
    padded = torch.nn.functional.pad(waves.reshape(-1, 1, samples), (reach, reach + source))
    phases = torch.nn.functional.conv1d(padded, filters.to(waves), stride=source)
    resampled = phases.transpose(1, 2).reshape(*waves.shape[:-1], -1)
    return resampled[..., : -(-samples * target // source)]


@lru_cache(maxsize=64)
def _filters(source: int, target: int) -> tuple[Tensor, int]:
    """Return a filter for each of the ``target`` phases, (target, 1, taps) float64, and the reach.

    The reach is how many source samples before an output sample the filter begins.
    """
    cutoff = ROLLOFF * min(1.0, target / source)
    reach = math.ceil(ZEROS / cutoff)
    places = np.arange(-reach, reach + source) - np.arange(target)[:, None] * (source / target)
    scaled = np.clip(cutoff * places, -ZEROS, ZEROS)
    filters = cutoff * np.sinc(scaled) * np.cos(np.pi * scaled / (2 * ZEROS)) ** 2
    return torch.from_numpy(filters)[:, None], reach
