"""Channel gates, which several encoders share."""

import torch
from torch import Tensor, nn

from sv.encoders.masking import Mask, mean_over_frames


class SqueezeExcitation(nn.Module):
    """Gates of the channels from their means over the utterance (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, bottleneck: int):
        super().__init__()
        self.down = nn.Linear(channels, bottleneck)
        self.up = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, residual: Tensor, mask: Mask = None) -> Tensor:
        """Return ``residual`` plus the gated ``x``, both ``(batch, channels, bands, frames)``.

        Both are one operation, because each pass over the activations takes time on a CPU.
        """
        means = mean_over_frames(x, mask).sum(2).flatten(1) / x.shape[2]
        gates = self.up(self.down(means).relu()).sigmoid()
        return torch.addcmul(residual, x, gates[:, :, None, None])
