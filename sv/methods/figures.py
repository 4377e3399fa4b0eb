"""Figures that methods log about their outputs, for people and for the check for collapse."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pair_cosines(z1: Tensor, z2: Tensor) -> dict[str, Tensor]:
    """Return the mean cosine of z1_i with z2_i, and of z1_i with z2_j, j ≠ i; both are (N, D)."""
    z1, z2 = F.normalize(z1.detach().float()), F.normalize(z2.detach().float())
    positive = (z1 * z2).sum(dim=1).mean()
    everything = (z1.sum(dim=0) @ z2.sum(dim=0)) / len(z1)
    return {
        "positive_cosine": positive,
        "negative_cosine": (everything - positive) / max(1, len(z1) - 1),
    }


def unit_spread(z: Tensor) -> Tensor:
    """Return √D · mean_d std_d of the rows z / ‖z‖: 1 if they are spread out, 0 if they are equal.

    Source: Chen & He, CVPR 2021 (arXiv 2011.10566), section 4.1. z: (N, D).
    """
    unit = F.normalize(z.detach().float())
    return unit.std(dim=0).mean() * z.shape[1] ** 0.5


def mean_where(mask: Tensor, values: Tensor) -> Tensor:
    """Return the mean of the values where ``mask`` is true; of no values NaN.

    Its shapes do not depend on the mask, so a GPU does not wait for it.
    """
    return torch.where(mask, values, 0.0).sum() / mask.sum()


def output_use(probabilities: Tensor) -> dict[str, Tensor | float]:
    """Return how evenly a batch of distributions (N, K) uses the K outputs.

    - ``output_entropy``: mean entropy of a row. 0: every row is one-hot; ln K: every row is
      uniform.
    - ``usage_entropy``: entropy of the mean row. ln K: all outputs are used equally. If it equals
      ``output_entropy``, all rows are equal, and the outputs say nothing about the input.
    - ``entropy_ceiling``: ln K.
    """
    return {
        "output_entropy": torch.special.entr(probabilities).sum(dim=1).mean(),
        "usage_entropy": torch.special.entr(probabilities.mean(dim=0)).sum(),
        "entropy_ceiling": math.log(probabilities.shape[1]),
    }
