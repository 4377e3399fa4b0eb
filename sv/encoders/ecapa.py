"""ECAPA-TDNN (Desplanques, Thienpondt, Demuynck, Interspeech 2020, arXiv 2005.07143).

Activations are ``(batch, channels, 1, frames)``, contiguous. On a CPU a training step in
channels-last memory takes 12 % longer in bfloat16 and about the same time in float32: convolutions
gain a little, but gradients of sums over frames lose more (``benchmarks/encoders.py``).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.base import Encoder, EncoderConfig
from sv.encoders.masking import (
    Mask,
    at_least_float32,
    check_features,
    frame_mask,
    mirror_padding,
    zero_padding,
)
from sv.encoders.pooling import VARIANCE_FLOOR, AttentiveStatisticsPooling
from sv.encoders.sizes import refuse_empty_layers
from sv.encoders.squeeze_excitation import SqueezeExcitation
from sv.errors import InputError

SPEECHBRAIN_FLOOR = 1e-12
"""Smallest variance of a channel over an utterance in SpeechBrain; ours is larger for bfloat16."""


@dataclass
class EcapaConfig(EncoderConfig):
    """Settings of an ECAPA-TDNN; the defaults are the published 6.2 M parameter network.

    The pooled layer has 1,536 channels for C = 512 and for C = 1024: this gives the published 6.2 M
    and 14.7 M parameters. Recipes whose source uses 3C set ``pooled_channels``.
    """

    name: str = option("ecapa", "this encoder's name in ENCODERS")
    variant: Literal["paper", "speechbrain"] = option(
        "paper",
        "paper: as in the paper and wespeaker. speechbrain: as in SpeechBrain, which SSPS and CHNS "
        "use. That variant has two more batch norms, after the last frame-level layer and in the "
        "attention, and it pads an utterance with its own frames in reverse instead of zeros",
    )
    mel_bins: int = option(80, "number of mel bands of the features, as extracted in stage 1")
    channels: int = option(
        512,
        "width C of the blocks, a multiple of res2net_scale. Time and memory grow with its square. "
        "256 suits a CPU or a first try, 512 is the usual choice, and 1024 gains a little more if "
        "there is much data",
    )
    pooled_channels: int = option(
        1536,
        "width of the last frame-level layer, whose statistics are pooled. The paper uses 1536 for "
        "C=512 (6.2 M) and C=1024 (14.7 M). Some recipes use 3C: 768 for C=256, 3072 for C=1024",
    )
    embedding_dim: int = option(
        192,
        "length of the embedding: 192 in the paper, 512 in SSPS. It hardly changes the EER; it "
        "determines the size of stored embeddings",
    )
    res2net_scale: int = option(
        8,
        "number of parts into which a block splits its channels; each part sees a wider context "
        "than the part before it. More parts need fewer parameters, but their matrix products are "
        "smaller and slower",
    )
    se_channels: int = option(128, "bottleneck of the channel gates (squeeze-excitation)")
    attention_channels: int = option(128, "bottleneck of the attention that weighs frames")

    def __post_init__(self) -> None:
        refuse_empty_layers(self)
        if self.channels % self.res2net_scale:
            raise InputError(
                f"encoder ecapa: channels={self.channels} is not a multiple of "
                f"res2net_scale={self.res2net_scale}; choose for example "
                f"{max(1, self.channels // self.res2net_scale) * self.res2net_scale}"
            )


class ConvReluNorm(nn.Module):
    """Convolution over frames, ReLU, batch norm, in this order; the number of frames stays.

    An utterance is padded with zeros, or with ``mirror`` by its own frames in reverse.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, mirror: bool = False
    ):
        super().__init__()
        pad = dilation * (kernel - 1) // 2
        self.mirrored = pad if mirror else 0
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            (1, kernel),
            dilation=(1, dilation),
            padding=(0, pad - self.mirrored),
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.mixes_frames = kernel > 1

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, inputs, 1, frames)`` to ``(batch, outputs, 1, frames)``."""
        if self.mirrored:
            x = mirror_padding(x, self.mirrored, mask)
        elif self.mixes_frames:
            x = zero_padding(x, mask)
        return self.norm(self.conv(x).relu_())


class ConvRelu(nn.Conv2d):
    """Convolution and ReLU, without the batch norm of ``ConvReluNorm``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs, 1, frames)`` to ``(batch, outputs, 1, frames)``."""
        return super().forward(x).relu_()


class Res2NetLayer(nn.Module):
    """A convolution in parts; each part also gets the output of the one before (Gao et al. 2019).

    y_1 = x_1, y_2 = f_2(x_2), y_i = f_i(x_i + y_{i-1}).
    """

    def __init__(self, channels: int, scale: int, kernel: int, dilation: int, mirror: bool = False):
        super().__init__()
        width = channels // scale
        self.scale = scale
        self.parts = nn.ModuleList(
            ConvReluNorm(width, width, kernel, dilation, mirror) for _ in range(scale - 1)
        )

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to the same shape."""
        first, *rest = x.chunk(self.scale, 1)
        outputs = [first]
        for part, chunk in zip(self.parts, rest, strict=True):
            y = chunk if len(outputs) == 1 else chunk + outputs[-1]
            outputs.append(part(y, mask))
        return torch.cat(outputs, 1)


class SERes2NetBlock(nn.Module):
    """1x1 convolution, dilated Res2Net, 1x1 convolution, channel gates; plus the input."""

    def __init__(
        self, channels: int, scale: int, se_channels: int, dilation: int, mirror: bool = False
    ):
        super().__init__()
        self.before = ConvReluNorm(channels, channels)
        self.res2net = Res2NetLayer(channels, scale, 3, dilation, mirror)
        self.after = ConvReluNorm(channels, channels)
        self.gate = SqueezeExcitation(channels, se_channels)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to the same shape."""
        y = self.after(self.res2net(self.before(x), mask))
        return self.gate(y, x, mask)


class EcapaTdnn(Encoder):
    """Convolution of 5 frames, three SE-Res2Net blocks, attentive statistics, one linear layer."""

    def __init__(self, config: EcapaConfig):
        super().__init__()
        c = config
        self.mel_bins = c.mel_bins
        self.embedding_dim = c.embedding_dim
        self.reach = 2 + (2 + 3 + 4) * (c.res2net_scale - 1)
        other = c.variant == "speechbrain"
        self.first = ConvReluNorm(c.mel_bins, c.channels, kernel=5, mirror=other)
        self.blocks = nn.ModuleList(
            SERes2NetBlock(c.channels, c.res2net_scale, c.se_channels, dilation, mirror=other)
            for dilation in (2, 3, 4)
        )
        if other:
            self.aggregate = ConvReluNorm(3 * c.channels, c.pooled_channels)
        else:
            self.aggregate = ConvRelu(3 * c.channels, c.pooled_channels, 1)
        self.pooling = AttentiveStatisticsPooling(
            c.pooled_channels,
            c.attention_channels,
            norm=other,
            floor=SPEECHBRAIN_FLOOR if other else VARIANCE_FLOOR,
        )
        self.norm = nn.BatchNorm1d(self.pooling.output_dim)
        self.output = nn.Linear(self.pooling.output_dim, c.embedding_dim)

    def forward(self, features: Tensor, lengths: Mask = None) -> Tensor:
        """Map ``(batch, frames, mel)`` to embeddings ``(batch, embedding_dim)``, float32.

        ``lengths`` (batch,) counts the real frames of each utterance; later frames have no effect.
        In training mode they do enter the batch norm statistics, so train on full crops.
        """
        check_features(features, self.mel_bins)
        mask = frame_mask(lengths, features.shape[1])
        x = self.first(features.transpose(1, 2)[:, :, None].contiguous(), mask)
        outputs = []
        for block in self.blocks:
            x = block(x, mask)
            outputs.append(x)
        x = self.aggregate(torch.cat(outputs, 1))
        return at_least_float32(self.output(self.norm(self.pooling(x, mask))))
