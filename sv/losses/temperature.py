"""A learned temperature."""

import math

import torch
from torch import Tensor, nn


class LearnableTemperature(nn.Module):
    """τ = e^θ; θ is learned and kept in a range.

    Masztalski et al. (Interspeech 2025, arXiv 2507.17540) learn τ from 0.1. Without a lower limit
    τ can fall until the loss overflows. The parameter θ itself is clamped, not only the value τ,
    so the gradient never vanishes at the limits. Do not apply weight decay to θ: it would pull τ
    to 1.
    """

    def __init__(self, initial: float = 0.1, lowest: float = 0.01, highest: float = 1.0):
        super().__init__()
        if not 0 < lowest <= initial <= highest:
            raise ValueError(
                f"temperature {initial} must lie between {lowest} and {highest}, both above 0"
            )
        self.range = (math.log(lowest), math.log(highest))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        """Return τ, a scalar that has a gradient."""
        with torch.no_grad():
            self.log_temperature.clamp_(*self.range)
        return self.log_temperature.exp()
