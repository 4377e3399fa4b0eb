"""Crops as the 16-bit values of the arks until they are on the device, which takes half the bytes.

Features are stored as CM2: 16-bit integers, and for each matrix a factor and an offset. A reader
that copies them does no arithmetic, shared memory and the bus carry half, and the device of the
network converts them: ``value * factor + offset`` in float32, the bits that the processor gets.
"""

import numpy as np
from torch import Tensor

from sv.crops.index import TrainingIndex

LEVELS = 65535


def read_windows(
    index: TrainingIndex,
    utterances: np.ndarray,
    starts: np.ndarray,
    out: np.ndarray,
    scales: np.ndarray | None = None,
    places: np.ndarray | None = None,
) -> None:
    """Fill ``out`` (n, length, *row_shape) as ``TrainingIndex.read_windows`` does, or with codes.

    With ``scales``, float32 (n, 2) to fill, ``out`` is uint16 and gets codes. Windows of other
    formats than CM2 are then rounded to 16 bits between their smallest and largest value.

    places: (m,) the windows to fill, if there are fewer utterances than windows.
    """
    length = out.shape[1]
    if scales is None:
        index.read_windows(utterances, starts, length, out, places)
        return
    places = np.arange(len(out)) if places is None else places
    others = index.read_codes(utterances, starts, out, scales, places)
    if not others:
        return
    windows = index.read_windows(utterances[others], starts[others], length)
    for place, window in zip(places[others], windows, strict=True):
        lowest = window.min()
        factor = (window.max() - lowest) / np.float32(LEVELS) or np.float32(1)
        out[place] = np.rint((window - lowest) / factor).clip(0, LEVELS)
        scales[place] = factor, lowest


def decoded(codes: Tensor, scales: Tensor | None) -> Tensor:
    """Return log-mel (..., frames, mel) float32 of 16-bit values; ``scales``: (..., 2).

    If ``scales`` is None, the values are no codes and stay as they are.
    """
    if scales is None:
        return codes
    return codes.float().mul_(scales[..., 0, None, None]).add_(scales[..., 1, None, None])
