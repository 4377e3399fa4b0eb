"""The ResNet-34 of Lepage & Dehak, Interspeech 2023 (arXiv 2306.03664).

It differs from the Fast ResNet-34 of their later papers in three ways. The stem is 3x3, with the
ReLU before the batch norm. The last stage has one more stride. The attention weighs the frames of
every channel and band separately.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.masking import Mask, at_least_float32
from sv.encoders.pooling import attended_mean
from sv.encoders.resnet import FastResNet34, FastResNet34Config

ATTENTION = 128
"""Bottleneck of the attention."""


@dataclass
class ResNet34Of2023Config(FastResNet34Config):
    """Settings of the encoder of 2023; the defaults are the published 1.8 M parameter network."""

    name: str = option("resnet34_2023", "this encoder's name in ENCODERS")
    mel_bins: int = option(
        40, "number of mel bands of the features, as extracted in stage 1; the paper uses 40"
    )
    pooling: str = option(
        "channel_sap", "channel_sap, the attention over channels and bands; there is no other"
    )

    def check_pooling(self) -> None:
        """Raise ``InputError`` unless the pooling is ``channel_sap``."""
        self.one_of(["channel_sap"])


class ChannelAttentivePooling(nn.Module):
    """A weighted mean over frames, with weights for each channel.

    w = softmax_t(V norm(relu(W x_t + b)) + c), output = Σ_t w_t x_t.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.hidden = nn.Conv2d(channels, ATTENTION, 1)
        self.norm = nn.BatchNorm2d(ATTENTION)
        self.relevance = nn.Conv2d(ATTENTION, channels, 1)
        self.output_dim = channels

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to ``(batch, channels)``."""
        logits = self.relevance(self.norm(self.hidden(x).relu()))
        return attended_mean(at_least_float32(x), at_least_float32(logits), mask).flatten(1)


class ResNet34Of2023(FastResNet34):
    """3x3 stem, four stages of SE blocks, attention over channels and bands, one linear layer."""

    stem_kernel, stem_stride, stem_bias = 3, (1, 1), True
    strides = (1, 2, 2, 2)

    def build_pooling(self, config: ResNet34Of2023Config, channels: int) -> nn.Module:
        """Return the pooling of ``(batch, channels * bands, 1, frames)``."""
        bands = -(-config.mel_bins // 8)  # three strides of 2, each rounded up
        return ChannelAttentivePooling(channels * bands)

    def after_stem(self, x: Tensor) -> Tensor:
        """Map a picture ``(batch, 1, bands, frames)`` to the input of the first block."""
        return self.stem_norm(self.stem(x).relu_())

    def pool(self, x: Tensor, mask: Mask) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, channels * bands)``."""
        x = x.contiguous(memory_format=torch.contiguous_format).flatten(1, 2)  # channels first
        return self.pooling(x[:, :, None], mask)
