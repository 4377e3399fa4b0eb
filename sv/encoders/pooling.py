"""Poolings map a sequence of frames to one vector: mean, statistics, and two with attention.

Every pooling maps ``x (batch, channels, 1, frames)`` and a mask (see ``masking``) to ``(batch,
output_dim)``, in float32 at least, because bfloat16 is too coarse for variances.
"""

import torch
from torch import Tensor, nn

from sv.encoders.blocks import Block
from sv.encoders.masking import Mask, at_least_float32, mean_over_frames, softmax_over_frames

# The square root has an infinite slope at zero: constant input would give NaN gradients.
VARIANCE_FLOOR = 1e-5


def standard_deviation(variance: Tensor, floor: float = VARIANCE_FLOOR) -> Tensor:
    """Return the square root, with a slope that is finite (zero) below ``floor``."""
    return variance.clamp(min=floor).sqrt()


def mean_and_deviation(
    x: Tensor, mask: Mask, floor: float = VARIANCE_FLOOR
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over real frames, each ``(batch, channels, 1, 1)``."""
    if isinstance(mask, Block):
        mean, variance = mask.mean_and_variance(x)
        return mean, standard_deviation(variance, floor)
    mean = mean_over_frames(x, mask)
    variance = mean_over_frames((x - mean).square(), mask)
    return mean, standard_deviation(variance, floor)


def weighted_mean_and_deviation(
    x: Tensor, weights: Tensor, floor: float = VARIANCE_FLOOR
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation under ``weights`` that sum to one over the frames."""
    mean = (weights * x).sum(3, keepdim=True)
    variance = (weights * (x - mean).square()).sum(3, keepdim=True)
    return mean, standard_deviation(variance, floor)


def attended_mean(x: Tensor, logits: Tensor, mask: Mask) -> Tensor:
    """Return the mean over frames weighted by their softmax: ``(batch, channels, bands, 1)``."""
    if isinstance(mask, Block):
        return mask.attended(x, logits)[0]
    return (softmax_over_frames(logits, mask) * x).sum(3, keepdim=True)


def attended_mean_and_deviation(
    x: Tensor, logits: Tensor, mask: Mask, floor: float = VARIANCE_FLOOR
) -> tuple[Tensor, Tensor]:
    """Return mean and deviation weighted by the softmax of ``logits`` over the frames."""
    if isinstance(mask, Block):
        mean, variance = mask.attended(x, logits)
        return mean, standard_deviation(variance, floor)
    return weighted_mean_and_deviation(x, softmax_over_frames(logits, mask), floor)


def weighted_sum(layers: Tensor, weights: Tensor) -> Tensor:
    """Return sum_l softmax(weights)_l layers_l: (layers, ...) and (layers,) give (...)."""
    return torch.tensordot(at_least_float32(weights).softmax(0).to(layers.dtype), layers, dims=1)


class MeanPooling(nn.Module):
    """The mean over frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.output_dim = channels

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to ``(batch, channels)``."""
        return mean_over_frames(at_least_float32(x), mask).flatten(1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over frames (Snyder et al., "X-vectors", ICASSP 2018)."""

    def __init__(self, channels: int):
        super().__init__()
        self.output_dim = 2 * channels

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to ``(batch, 2 * channels)``: means, deviations."""
        return torch.cat(mean_and_deviation(at_least_float32(x), mask), 1).flatten(1)


class SelfAttentivePooling(nn.Module):
    """Mean weighted by a learned relevance of each frame (Cai et al., Odyssey 2018).

    h_t = tanh(W x_t + b), w = softmax_t(uᵀ h_t), output = Σ_t w_t x_t.

    u starts with a deviation of √(2 / (channels + 1)), 0.12 for 128 channels, as in the published
    network. The weights of the frames are then nearly equal at the start, and every frame counts.
    If the deviation is ten times as large, only a few frames of each crop count at the start.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.hidden = nn.Conv2d(channels, channels, 1)
        self.relevance = nn.Conv2d(channels, 1, 1, bias=False)
        self.output_dim = channels
        nn.init.xavier_normal_(self.relevance.weight)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to ``(batch, channels)``."""
        return attended_mean(at_least_float32(x), self.logits(x), mask).flatten(1)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logit of each frame, ``(batch, 1, 1, frames)``."""
        return at_least_float32(self.relevance(self.hidden(x).tanh()))

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the weight of each frame, ``(batch, 1, 1, frames)``; they sum to one."""
        return softmax_over_frames(self.logits(x), mask)


class AttentiveStatisticsPooling(nn.Module):
    """Weighted mean and deviation, with weights for each channel (Okabe et al., Interspeech 2018).

    The attention has the global context of ECAPA-TDNN (Desplanques et al., Interspeech 2020): it
    sees [x_t; mean; deviation of the utterance]. The last two are the same for all frames, so
    W [x_t; m; s] = W_x x_t + W_c [m; s] needs no concatenation of three sequences.

    Parameters
    ----------
    channels: number of channels of a frame.
    attention_channels: bottleneck of the attention.
    norm: put ReLU and batch norm before the tanh, as in SpeechBrain; the paper has neither.
    floor: smallest variance.
    """

    def __init__(
        self,
        channels: int,
        attention_channels: int = 128,
        norm: bool = False,
        floor: float = VARIANCE_FLOOR,
    ):
        super().__init__()
        self.floor = floor
        self.on_frames = nn.Conv2d(channels, attention_channels, 1)
        self.on_context = nn.Linear(2 * channels, attention_channels, bias=False)
        self.norm = nn.BatchNorm2d(attention_channels) if norm else None
        self.weights = nn.Conv2d(attention_channels, channels, 1)
        self.output_dim = 2 * channels

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """Map ``(batch, channels, 1, frames)`` to ``(batch, 2 * channels)``: means, deviations."""
        frames = at_least_float32(x)
        context = torch.cat(mean_and_deviation(frames, mask, self.floor), 1).flatten(1)
        hidden = self.on_frames(x) + self.on_context(context)[:, :, None, None]
        if self.norm is not None:
            hidden = self.norm(hidden.relu())
        logits = at_least_float32(self.weights(hidden.tanh()))
        pooled = attended_mean_and_deviation(frames, logits, mask, self.floor)
        return torch.cat(pooled, 1).flatten(1)


POOLINGS: dict[str, type[nn.Module]] = {
    "mean": MeanPooling,
    "stats": StatisticsPooling,
    "sap": SelfAttentivePooling,
    "asp": AttentiveStatisticsPooling,
}
