"""Separative encoder: separates the speakers of a mixture and gives an embedding of each.

One trunk is used twice. It hears the mixture, and the separation head makes masks from its output.
It then hears each masked spectrum, and the speaker head pools its output to an embedding. So both
tasks train the same weights. If the masks are perfect, the embedding equals that of the speaker
alone. If we pooled the mixture's own frames under a mask, the other speaker would stay in them.
The trunk runs 1 + sources times. Sharing the trunk in this way is our choice: the abstract of
contrastive separative coding (Wang et al., ICASSP 2021, arXiv 2103.00816) says only that
separation and discrimination share an encoder.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.base import Encoder, EncoderConfig
from sv.encoders.blocks import Block
from sv.encoders.masking import (
    Mask,
    at_least_float32,
    check_features,
    frame_mask,
    strided,
    zero_padding,
)
from sv.encoders.pooling import AttentiveStatisticsPooling
from sv.encoders.sizes import refuse_empty_layers
from sv.encoders.trunks import TRUNKS, ChannelNorm
from sv.errors import InputError

QUIETEST = -7.0
"""Smallest log mask: 30 dB below the mixture. Nobody hears what is quieter."""


@dataclass
class SeparativeConfig(EncoderConfig):
    """Settings of the separative encoder."""

    name: str = option("separative", "this encoder's name in ENCODERS")
    mel_bins: int = option(80, "number of mel bands of the features, as extracted in stage 1")
    trunk: Literal["conv", "galr"] = option(
        "conv",
        "conv: dilated convolutions, the fast one. galr: local recurrence and global attention "
        "(arXiv 2101.05014); it hears a whole utterance and takes several times as long",
    )
    channels: int = option(
        128,
        "width of the trunk; time grows with its square. Take 64 for a first try, "
        "256 for much data",
    )
    blocks: int = option(
        4, "number of blocks of the trunk; conv reaches 2^blocks frames far, galr needs 2 to 6"
    )
    stride: int = option(
        2,
        "number of frames of 10 ms in a step of the trunk. 1 separates more finely and takes "
        "twice as long as 2",
    )
    segment: int = option(
        20, "galr: number of steps in a local segment, even; segments overlap by a half"
    )
    heads: int = option(4, "galr: number of heads of the attention, a divisor of channels")
    sources: int = option(
        2,
        "number of speakers in a mixture, the target included: 1 + "
        "mixing.interferers. 1: a plain encoder with the same trunk, without "
        "separation, for comparisons",
    )
    pooled_channels: int = option(384, "width of the last layer, whose statistics are pooled")
    attention_channels: int = option(64, "bottleneck of the attention that weighs frames")
    embedding_dim: int = option(192, "length of the embedding")

    def __post_init__(self):
        refuse_empty_layers(self)
        if self.segment < 2 or self.segment % 2:
            raise InputError(
                f"encoder separative: segment={self.segment} must be even and at least 2, because "
                "halves of segments overlap"
            )
        if self.trunk == "galr" and (self.channels % self.heads or self.channels % 2):
            raise InputError(
                f"encoder separative: channels={self.channels} must be even and a multiple of "
                f"heads={self.heads}"
            )


@dataclass
class Separated:
    """The speakers of mixtures.

    log_mel: (batch, sources, frames, mel), the features plus the log of each source's mask.
    embeddings: (batch, sources, embedding_dim) float32.
    shares: (batch, sources), the share of each source in the energy of all sources.
    """

    log_mel: Tensor
    embeddings: Tensor
    shares: Tensor


class SeparativeEncoder(Encoder):
    """A trunk, masks for every source, and one embedding for every source."""

    def __init__(self, config: SeparativeConfig):
        super().__init__()
        c = config
        self.mel_bins, self.embedding_dim = c.mel_bins, c.embedding_dim
        self.stride, self.sources = c.stride, c.sources
        self.first = nn.Conv2d(c.mel_bins, c.channels, (1, 5), stride=(1, c.stride), padding=(0, 2))
        self.first_norm = ChannelNorm(c.channels)
        self.trunk = TRUNKS[c.trunk](c)
        if c.trunk == "conv":  # heard twice: the mixture, then each voice
            self.reach = (2 if c.sources > 1 else 1) * (2 + c.stride * 2**c.blocks)
        self.hop = c.stride
        if c.sources > 1:  # one mask more than sources, for the remainder, such as noise
            self.masks = nn.Conv2d(c.channels, (c.sources + 1) * c.stride * c.mel_bins, 1)
        self.aggregate = nn.Conv2d(c.channels, c.pooled_channels, 1)
        self.pooling = AttentiveStatisticsPooling(c.pooled_channels, c.attention_channels)
        self.norm = nn.BatchNorm1d(self.pooling.output_dim)
        self.output = nn.Linear(self.pooling.output_dim, c.embedding_dim)

    def hear(self, features: Tensor, lengths: Mask) -> tuple[Tensor, Mask]:
        """Map (batch, frames, mel) to the trunk's output (batch, channels, 1, steps), its mask."""
        mask = frame_mask(lengths, features.shape[1])
        x = zero_padding(features.transpose(1, 2)[:, :, None], mask).contiguous()
        x = self.first_norm(self.first(x).relu_())
        mask = strided(mask, self.stride)
        return self.trunk(x, mask), mask

    def embed(self, features: Tensor, lengths: Mask = None) -> Tensor:
        """Map log-mel of single speakers (batch, frames, mel) to (batch, embedding_dim)."""
        x, mask = self.hear(features, lengths)
        x = self.aggregate(x).relu_()
        return at_least_float32(self.output(self.norm(self.pooling(x, mask))))

    def log_masks(self, features: Tensor, lengths: Mask = None) -> Tensor:
        """Return the log of the masks (batch, sources, frames, mel), float32 at least.

        The powers of the sources and of the remainder add up to the mixture's power.
        """
        x, _ = self.hear(features, lengths)
        logits = at_least_float32(self.masks(x))[:, :, 0]  # (batch, ..., steps)
        logits = logits.unflatten(1, (self.sources + 1, self.mel_bins, self.stride))
        logits = logits.permute(0, 1, 4, 3, 2).flatten(2, 3)[:, :, : features.shape[1]]
        return logits.log_softmax(dim=1)[:, :-1].clamp_min(QUIETEST)

    def separate(self, features: Tensor, lengths: Mask = None) -> Separated:
        """Separate normalised log-mel (batch, frames, mel), then embed every source.

        Each source is normalised by its mean, as utterances are. Energies are computed after
        normalisation, so that no band counts more because the channel amplifies it.
        """
        check_features(features, self.mel_bins)
        features = zero_padding(features[:, None], _frames_last(lengths, features))[:, 0]
        if self.sources == 1:
            return Separated(
                features[:, None],
                self.embed(features, lengths)[:, None],
                torch.ones_like(features[:, :1, 0]),
            )
        mask = _frames_last(lengths, features)
        log_mel = at_least_float32(features)[:, None] + self.log_masks(features, lengths)
        with torch.no_grad():
            if isinstance(mask, Block):
                power = mask.mean(log_mel.exp().transpose(2, 3)).sum(dim=(2, 3))
            else:
                power = zero_padding(log_mel.exp(), mask).sum(dim=(2, 3))
            shares = power / power.sum(dim=1, keepdim=True)
        if isinstance(mask, Block):
            mean = mask.mean(log_mel.transpose(2, 3)).transpose(2, 3)
            repeated: Mask = mask
        else:
            frames = log_mel.shape[2] if mask is None else lengths[:, None, None, None]
            mean = zero_padding(log_mel, mask).sum(dim=2, keepdim=True) / frames
            repeated = None if lengths is None else lengths.repeat_interleave(self.sources)
        voices = zero_padding(log_mel - mean, mask).flatten(0, 1)
        embeddings = self.embed(voices, repeated).unflatten(0, (-1, self.sources))
        return Separated(log_mel, embeddings, shares)

    def forward(self, features: Tensor, lengths: Mask = None) -> Tensor:
        """Map (batch, frames, mel) to ONE embedding each, (batch, embedding_dim), float32.

        It is the embedding of the dominant source, which has the largest share of the energy. In a
        recording of one speaker, that is the speaker. If two speakers are equally loud, it is
        either of them; ``separate`` returns both.
        """
        found = self.separate(features, lengths)
        dominant = found.shares.argmax(dim=1)
        rows = torch.arange(len(dominant), device=dominant.device)
        return found.embeddings[rows, dominant]


def _frames_last(lengths: Mask, features: Tensor) -> Mask:
    """Return the mask (batch, 1, frames, 1) for (batch, n, frames, mel)."""
    mask = frame_mask(lengths, features.shape[1])
    return mask if mask is None or isinstance(mask, Block) else mask.transpose(2, 3)
