"""Figures that methods log about their outputs, for people and for the watch over collapse."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pair_cosines(z1: Tensor, z2: Tensor) -> dict[str, Tensor]:
    """Return the mean cosine of rows i of both, and of rows i and j ≠ i: (N, D) each."""
    z1, z2 = F.normalize(z1.detach().float()), F.normalize(z2.detach().float())
    positive = (z1 * z2).sum(dim=1).mean()
    everything = (z1.sum(dim=0) @ z2.sum(dim=0)) / len(z1)
    return {
        "positive_cosine": positive,
        "negative_cosine": (everything - positive) / max(1, len(z1) - 1),
    }


def unit_spread(z: Tensor) -> Tensor:
    """Return √D · mean_d std_d of the rows z / ‖z‖: 1 if they are spread out, 0 if they are alike.

    Source: Chen & He, CVPR 2021 (arXiv 2011.10566), section 4.1. z: (N, D).
    """
    unit = F.normalize(z.detach().float())
    return unit.std(dim=0).mean() * z.shape[1] ** 0.5


def output_use(probabilities: Tensor) -> dict[str, Tensor | float]:
    """Return how K outputs are used by a batch of distributions over them: (N, K).

    - ``output_entropy``: mean entropy of a row. 0: always certain; ln K: never;
    - ``usage_entropy``: entropy of the mean row. ln K: all outputs are used alike. The two are
      equal exactly when all rows are: then the outputs say nothing about the input;
    - ``entropy_ceiling``: ln K.
    """
    return {
        "output_entropy": torch.special.entr(probabilities).sum(dim=1).mean(),
        "usage_entropy": torch.special.entr(probabilities.mean(dim=0)).sum(),
        "entropy_ceiling": math.log(probabilities.shape[1]),
    }
