"""Fast ResNet-34 (Chung et al., "In defence of metric learning", Interspeech 2020).

It has a quarter of ResNet-34's width, channel gates and an early stride over frequency. It is also
known as ResNetSE34L and has 1.4 M parameters. Activations are ``(batch, channels, bands, frames)``
in channels-last memory. On a CPU this makes a training step 1.2 times as fast in float32; in
bfloat16 it changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.encoders.base import Encoder, EncoderConfig
from sv.encoders.masking import (
    Mask,
    at_least_float32,
    check_features,
    frame_mask,
    mean_over_frames,
    strided,
    zero_padding,
)
from sv.encoders.pooling import POOLINGS
from sv.encoders.sizes import refuse_empty_layers
from sv.encoders.squeeze_excitation import SqueezeExcitation
from sv.errors import InputError

BLOCKS = (3, 4, 6, 3)


@dataclass
class FastResNet34Config(EncoderConfig):
    """Settings of a Fast ResNet-34; the defaults are the published 1.4 M parameter network.

    Widths are multiples of 16. With 8 channels the float32 backward pass of oneDNN in torch 2.11
    corrupted memory on an AMD processor, reproducibly.
    """

    name: str = option("fast_resnet34", "this encoder's name in ENCODERS")
    mel_bins: int = option(
        80,
        "number of mel bands of the features, as extracted in stage 1; the paper uses 40. Time "
        "grows in proportion, the number of parameters stays",
    )
    channels: list[int] = option(
        [16, 32, 64, 128],
        "widths of the four stages, four multiples of 16. [16, 16, 32, 64] has a quarter of the "
        "parameters; [32, 64, 128, 256] is the usual wider network",
    )
    embedding_dim: int = option(512, "length of the embedding")
    pooling: str = option(
        "sap",
        "how frames become one vector: mean, stats (mean and deviation), sap (self-attentive mean, "
        "as published), asp (attentive statistics; more parameters)",
    )

    def __post_init__(self) -> None:
        refuse_empty_layers(self)
        if len(self.channels) != 4 or any(c < 16 or c % 16 for c in self.channels):
            raise InputError(
                f"encoder {self.name}: channels={self.channels} must be four multiples of 16, "
                "for example [16, 32, 64, 128]"
            )
        self.check_pooling()

    def check_pooling(self) -> None:
        """Raise ``InputError`` for a pooling that this encoder does not have."""
        self.one_of(POOLINGS)

    def one_of(self, poolings: Iterable[str]) -> None:
        """Raise ``InputError`` unless ``pooling`` is one of ``poolings``."""
        if self.pooling not in poolings:
            raise InputError(
                f"encoder {self.name}: unknown pooling '{self.pooling}'; "
                f"choose one of {', '.join(poolings)}"
            )


def conv(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int] = 1) -> nn.Conv2d:
    """Return a "same" convolution without bias (a batch norm follows)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class SEBasicBlock(nn.Module):
    """conv, ReLU, norm, conv, norm, channel gates; plus the input; ReLU.

    The ReLU before the norm is the published network's own order, not ResNet's.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.gate = SqueezeExcitation(outputs, outputs // 8)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, inputs, bands, frames)`` to ``(batch, outputs, bands', frames')``.

        ``mask`` is the mask of the input.
        """
        shorter = strided(mask, self.stride)
        y = self.norm1(self.conv1(zero_padding(x, mask)).relu_())
        y = self.norm2(self.conv2(zero_padding(y, shorter)))
        return self.gate(y, self.shortcut(x), shorter).relu_()


class FastResNet34(Encoder):
    """7x7 stem, four stages of SE blocks, mean over frequency, pooling, one linear layer."""

    stem_kernel, stem_stride, stem_bias = 7, (2, 1), False
    strides = (1, 2, 2, 1)

    def __init__(self, config: FastResNet34Config):
        super().__init__()
        self.mel_bins = config.mel_bins
        self.embedding_dim = config.embedding_dim
        width = config.channels[0]
        size = self.stem_kernel
        self.stem = nn.Conv2d(
            1, width, size, self.stem_stride, padding=size // 2, bias=self.stem_bias
        )
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList()
        for channels, blocks, first_stride in zip(
            config.channels, BLOCKS, self.strides, strict=True
        ):
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                self.blocks.append(SEBasicBlock(width, channels, stride))
                width = channels
        self.reach, self.hop = size // 2, self.stem_stride[1]
        for block in self.blocks:  # two convolutions that see one frame to each side
            self.reach += self.hop * (1 + block.stride)
            self.hop *= block.stride
        self.pooling = self.build_pooling(config, width)
        self.output = nn.Linear(self.pooling.output_dim, config.embedding_dim)
        for module in [self.stem, *self.blocks.modules()]:  # the pooling has its own initialisation
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def build_pooling(self, config: FastResNet34Config, channels: int) -> nn.Module:
        """Return the pooling of ``(batch, channels, 1, frames)``."""
        return POOLINGS[config.pooling](channels)

    def forward(self, features: Tensor, lengths: Mask = None) -> Tensor:
        """Map ``(batch, frames, mel)`` to embeddings ``(batch, embedding_dim)``, float32.

        ``lengths`` (batch,) counts the real frames of each utterance; later frames have no effect.
        In training mode they do enter the batch norm statistics, so train on full crops.
        """
        check_features(features, self.mel_bins)
        mask = frame_mask(lengths, features.shape[1])
        x = features.transpose(1, 2)[:, None].contiguous(memory_format=torch.channels_last)
        x = self.after_stem(zero_padding(x, mask))
        mask = strided(mask, self.stem_stride[1])
        for block in self.blocks:
            x = block(x, mask)
            mask = strided(mask, block.stride)
        return at_least_float32(self.output(self.pool(x, mask)))

    def after_stem(self, x: Tensor) -> Tensor:
        """Map a picture ``(batch, 1, bands, frames)`` to the input of the first block."""
        return self.stem_norm(self.stem(x)).relu_()

    def pool(self, x: Tensor, mask: Mask) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, pooling.output_dim)``."""
        return self.pooling(x.mean(2, keepdim=True), mask)


# ---------------------------------------------------------------- Thin ResNet-34
# It has a quarter of ResNet-34's width and keeps the whole resolution in the first stage. It is
# also known as ResNetSE34 (Chung et al., "In defence of metric learning", Interspeech 2020). Fast
# ResNet-34 is the same network with earlier strides. Thin ResNet-34 has 1.4 M parameters and takes
# more than twice the time. The strides and channel gates were written from memory of the published
# code, and versions of that code differ.


@dataclass
class ThinResNet34Config(FastResNet34Config):
    """Settings of a Thin ResNet-34; the defaults are the published 1.4 M parameter network."""

    name: str = option("thin_resnet34", "this encoder's name in ENCODERS")
    embedding_dim: int = option(256, "length of the embedding")
    pooling: str = option(
        "sap",
        "how bands become one vector, after the mean over frames: mean, stats, sap (self-attentive "
        "mean, as published), asp",
    )


class BandPooling(nn.Module):
    """The mean over frames, then a pooling over bands as if they were frames."""

    def __init__(self, pooling: str, channels: int):
        super().__init__()
        self.over_bands = POOLINGS[pooling](channels)
        self.output_dim = self.over_bands.output_dim

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, output_dim)``."""
        return self.over_bands(mean_over_frames(at_least_float32(x), mask).transpose(2, 3))


class ThinResNet34(FastResNet34):
    """Like Fast ResNet-34, but the stem halves the frame rate, and the pooling weighs bands."""

    stem_stride = (1, 2)

    def after_stem(self, x: Tensor) -> Tensor:
        """Map a picture ``(batch, 1, bands, frames)`` to the input of the first block."""
        if x.shape[3] >= 3:
            return super().after_stem(x)
        # If the output has one column, oneDNN's convolution (torch 2.14, x86) returns garbage.
        return super().after_stem(F.pad(x, (0, 2)))[..., :1]

    def build_pooling(self, config: ThinResNet34Config, channels: int) -> BandPooling:
        """Return the pooling of ``(batch, channels, bands, frames)``."""
        return BandPooling(config.pooling, channels)

    def pool(self, x: Tensor, mask: Mask) -> Tensor:
        """Map ``(batch, channels, bands, frames)`` to ``(batch, pooling.output_dim)``."""
        return self.pooling(x, mask)
