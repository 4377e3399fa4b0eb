"""Trunks of the separative encoder: (batch, channels, 1, steps) to the same shape.

Normalisation is over the channels of a step, never over the batch. The same trunk hears mixtures
and separated voices. Statistics over a batch of the one would be wrong for the other.
"""

import math

import torch
from torch import Tensor, nn

from sv.encoders.masking import Mask, at_least_float32, zero_padding


class ChannelNorm(nn.Module):
    """Layer norm over the channels of every step."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, 1, steps)`` to the same shape."""
        return self.norm(x.transpose(1, 3)).transpose(1, 3)


class ConvBlock(nn.Module):
    """A dilated depthwise convolution between two 1x1 convolutions, added to the input.

    The block of Conv-TasNet (Luo and Mesgarani 2019, arXiv 1809.07454), with ``ChannelNorm``.
    """

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.before = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.PReLU(), ChannelNorm(2 * channels)
        )
        self.depthwise = nn.Conv2d(
            2 * channels,
            2 * channels,
            (1, 3),
            dilation=(1, dilation),
            padding=(0, dilation),
            groups=2 * channels,
        )
        self.after = nn.Sequential(
            nn.PReLU(), ChannelNorm(2 * channels), nn.Conv2d(2 * channels, channels, 1)
        )

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, steps)`` to the same shape."""
        return x + self.after(self.depthwise(zero_padding(self.before(x), mask)))


class ConvTrunk(nn.Module):
    """Blocks with dilations 1, 2, 4, …"""

    def __init__(self, config):
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvBlock(config.channels, 2**number) for number in range(config.blocks)
        )
        self.norm = ChannelNorm(config.channels)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, steps)`` to the same shape."""
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


class GalrBlock(nn.Module):
    """Local recurrence, then global attention (Lam et al., SLT 2021, arXiv 2101.05014).

    A bidirectional LSTM runs inside each segment; then the steps at the same place of all segments
    attend to each other. Both are added to their input.
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.lstm = nn.LSTM(channels, channels // 2, batch_first=True, bidirectional=True)
        self.local = nn.Linear(channels, channels)
        self.local_norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.global_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Map (batch, segments, steps, channels) to the same shape.

        real: (batch, segments, steps, 1), False in the padding. The padding is 0 in x and in the
            result.
        """
        with torch.autocast(x.device.type, enabled=False):  # equally precise everywhere, not slower
            recurrent, _ = self.lstm(at_least_float32(x).flatten(0, 1))
        x = x + self.local_norm(self.local(recurrent)).unflatten(0, x.shape[:2])
        x = x if real is None else x * real
        x = x + self.global_norm(self._attend(x, real))
        return x if real is None else x * real

    def _attend(self, x: Tensor, real: Tensor | None) -> Tensor:
        across = x.transpose(1, 2)  # (batch, steps, segments, channels)
        place = positions(across.shape[2], across.shape[3], x)
        q, k, v = (
            part.unflatten(3, (self.heads, -1)).transpose(2, 3)
            for part in self.qkv(across + place).chunk(3, dim=3)
        )
        logits = at_least_float32(q @ k.transpose(3, 4)) / q.shape[-1] ** 0.5
        if real is not None:  # -1e9, not -inf, which gives NaN where no segment has a real step
            keys = real.transpose(1, 2)[..., 0][:, :, None, None]
            logits = logits.masked_fill(~keys, -1e9)
        attended = logits.softmax(dim=4).to(v.dtype) @ v
        return self.out(attended.transpose(2, 3).flatten(3)).transpose(1, 2)


class GalrTrunk(nn.Module):
    """Half-overlapping segments, GALR blocks on them, and the sum of overlapping steps.

    Half a segment of silence is added before and after, so that every step is in two segments.
    """

    def __init__(self, config):
        super().__init__()
        self.hop = config.segment // 2
        self.blocks = nn.ModuleList(
            GalrBlock(config.channels, config.heads) for _ in range(config.blocks)
        )
        self.norm = ChannelNorm(config.channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``(batch, channels, 1, steps)`` to the same shape."""
        steps = x.shape[3]
        if mask is None:
            mask = x.new_ones(1, 1, 1, steps, dtype=torch.bool)
        x = self._segments(zero_padding(x, mask)[:, :, 0].transpose(1, 2))
        real = self._segments(mask[:, 0].transpose(1, 2))
        for block in self.blocks:
            x = block(x, real)
        first, second = x.chunk(2, dim=2)
        blocks = first[:, 1:] + second[:, :-1]  # the first and last halves were silence
        x = blocks.flatten(1, 2)[:, :steps].transpose(1, 2)[:, :, None]
        return self.norm(x)

    def _segments(self, x: Tensor) -> Tensor:
        """Cut (batch, steps, channels) into (batch, segments, segment, channels)."""
        halves = math.ceil(x.shape[1] / self.hop)
        x = nn.functional.pad(x, (0, 0, self.hop, (halves + 1) * self.hop - x.shape[1]))
        x = x.unflatten(1, (-1, self.hop))
        return torch.cat([x[:, :-1], x[:, 1:]], dim=2)


def positions(count: int, channels: int, like: Tensor) -> Tensor:
    """Return sinusoids (count, channels) that encode segment numbers (Vaswani et al. 2017)."""
    rates = torch.arange(0, channels, 2, device=like.device) * (-math.log(1e4) / channels)
    angles = torch.arange(count, device=like.device)[:, None] * rates.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :channels].to(like.dtype)


TRUNKS: dict[str, type[nn.Module]] = {"conv": ConvTrunk, "galr": GalrTrunk}
