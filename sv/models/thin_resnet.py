"""Thin ResNet-34 as Masztalski et al. released it (Interspeech 2025, arXiv 2507.17540).

The network is that of Fast ResNet-34, but its picture lies on the side: the stem halves time in the
place of frequency, the mean is taken over time, and the attention runs over what is left of
frequency. So an embedding hardly knows when something was said.
"""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.masking import at_least_float32, mean_over_frames
from sv.models.pooling import POOLINGS
from sv.models.resnet import FastResNet34, FastResNet34Config


@dataclass
class ThinResNet34Config(FastResNet34Config):
    """Settings of a Thin ResNet-34; the defaults are the published 1.4 M parameter network."""

    name: str = field(default="thin_resnet34", metadata={"help": "this encoder's name in ENCODERS"})
    embedding_dim: int = field(default=256, metadata={"help": "length of the embedding"})
    pooling: str = field(
        default="sap",
        metadata={
            "help": "from bands to one vector, after the mean over frames: mean, stats, sap "
            "(self-attentive mean, as published), asp"
        },
    )


class BandPooling(nn.Module):
    """The mean over frames, then a pooling over bands as if they were frames."""

    def __init__(self, pooling: str, channels: int):
        super().__init__()
        self.over_bands = POOLINGS[pooling](channels)
        self.output_dim = self.over_bands.output_dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, output_dim)``."""
        return self.over_bands(mean_over_frames(at_least_float32(x), mask).transpose(2, 3))


class ThinResNet34(FastResNet34):
    """As Fast ResNet-34, but the stem halves time, and the pooling weighs bands."""

    stem_stride = (1, 2)

    def begin(self, x: Tensor) -> Tensor:
        """Map a picture ``(batch, 1, bands, frames)`` to what the first block takes."""
        if x.shape[3] >= 3:
            return super().begin(x)
        # One column of output: the convolution of oneDNN (torch 2.14, x86) then gives any numbers.
        return super().begin(F.pad(x, (0, 2)))[..., :1]

    def build_pooling(self, config: ThinResNet34Config, channels: int) -> BandPooling:
        """Return the pooling of ``(batch, channels, bands, frames)``."""
        return BandPooling(config.pooling, channels)

    def pool(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, pooling.output_dim)``."""
        return self.pooling(x, mask)
