"""The weights of two losses whose joint gradient is shortest: MGDA."""

import torch
from torch import Tensor


def mgda_weight(first: Tensor, second: Tensor) -> Tensor:
    """Return α in [0, 1] that makes ‖α g₁ + (1 − α) g₂‖ smallest, for two gradients of one shape.

    α = clip( (g₂ − g₁)·g₂ / ‖g₁ − g₂‖², 0, 1 ), and ½ if both are the same.

    A step against α g₁ + (1 − α) g₂ lowers both losses, unless that vector is zero. The loss with
    the smaller gradient gets the larger weight.

    Source: Sener & Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018
    (arXiv 1810.04650), algorithm 1. As in their section 3.3, the gradients may be those of what
    both losses share, such as embeddings.
    """
    first, second = first.double(), second.double()
    apart = (first - second).square().sum()
    along = ((second - first) * second).sum()
    return torch.where(apart > 0, along / apart.clamp_min(1e-300), 0.5).clamp(0.0, 1.0)
