"""The few operations that mix frames. They take a mask, so that padding frames have no effect.

Activations are ``(batch, channels, bands, frames)`` everywhere (a TDNN has one band). A mask is
``(batch, 1, 1, frames)``, True on real frames. It is None if all frames are real; that saves the
masking. Every encoder follows one rule. An operation that mixes frames (a convolution wider than
one frame, a mean, an attention) takes the mask. An operation that works frame by frame may leave
any finite values in padding frames.

For a part of a long recording the mask is a ``Block`` (``sv.encoders.blocks``).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.encoders.blocks import Block

Mask = Tensor | Block | None


def frame_mask(lengths: Mask, frames: int) -> Mask:
    """Return the mask ``(batch, 1, 1, frames)`` of ``lengths`` (batch,), each at least 1."""
    if lengths is None or isinstance(lengths, Block):
        return lengths
    positions = torch.arange(frames, device=lengths.device)
    return (positions < lengths[:, None])[:, None, None, :]


def check_features(features: Tensor, mel_bins: int) -> None:
    """Raise a ValueError unless ``features`` are ``(batch, frames, mel_bins)``."""
    if features.ndim != 3 or features.shape[2] != mel_bins:
        raise ValueError(
            f"the encoder was built for features (batch, frames, {mel_bins} mel bands), "
            f"not {tuple(features.shape)}"
        )


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in float32 if its type is less precise (autocast), else unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def zero_padding(x: Tensor, mask: Mask) -> Tensor:
    """Return ``x`` with zeros in the padding, as if a convolution padded each utterance.

    A block has no padding.
    """
    return x if mask is None or isinstance(mask, Block) else x.masked_fill(~mask, 0.0)


def mirror_padding(x: Tensor, pad: int, mask: Mask) -> Tensor:
    """Return ``x`` with ``pad`` more frames at both ends: its own frames in reverse.

    An utterance ends at its last real frame; the padding of a batch is never read. An utterance of
    ``pad`` frames or fewer is mirrored several times.
    """
    frames = x.shape[3]
    if isinstance(mask, Block):
        mask = None
    if mask is None and frames > pad:
        return F.pad(x, (pad, pad, 0, 0), mode="reflect")
    if mask is None:
        last = torch.full((1, 1, 1, 1), frames - 1, device=x.device)
    else:
        last = mask.sum(3, keepdim=True) - 1
    period = (2 * last).clamp_min(1)
    place = torch.arange(-pad, frames + pad, device=x.device).abs() % period
    place = torch.minimum(place, period - place)
    return x.gather(3, place.expand(*x.shape[:3], -1))


def strided(mask: Mask, stride: int) -> Mask:
    """Return the mask after a convolution with this stride in time and "same" padding.

    Output frame j is centred on input frame ``j * stride``, and is real if that frame is real.
    """
    if isinstance(mask, Block):
        return mask.strided(stride)
    return mask if mask is None or stride == 1 else mask[..., ::stride]


def mean_over_frames(x: Tensor, mask: Mask) -> Tensor:
    """Return the mean of ``x`` over real frames: ``(batch, channels, bands, 1)``.

    We sum and divide, because the gradient of ``Tensor.mean`` writes a tensor of the size of ``x``
    (in another memory layout, too). The gradient of a sum is a view.
    """
    if isinstance(mask, Block):
        return mask.mean(x)
    frames = x.shape[3] if mask is None else mask.sum(3, keepdim=True)
    return zero_padding(x, mask).sum(3, keepdim=True) / frames


def softmax_over_frames(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return weights that are positive, zero in the padding, and sum to one over the frames."""
    if mask is not None:
        x = x.masked_fill(~mask, float("-inf"))
    return x.softmax(3)
