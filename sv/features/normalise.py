"""Normalisation of each log-mel crop: the same function in training and embedding."""

from typing import Literal

import torch
from torch import Tensor

Normalisation = Literal["none", "mean", "mean_var"]


def normalise(features: Tensor, kind: Normalisation, lengths: Tensor | None = None) -> Tensor:
    """Subtract each band's mean over time; for ``mean_var`` also divide by its deviation.

    Parameters
    ----------
    features: (..., frames, mel).
    kind: ``none`` returns the features as they are.
    lengths: (batch,) valid frames of features (batch, frames, mel); frames beyond them do not
        count, and are zero in the result.

    A fixed linear channel adds a constant to each band of a log-mel spectrum. So subtracting the
    mean removes the channel.
    """
    if kind == "none":
        return features
    if lengths is None:
        mean = features.mean(dim=-2, keepdim=True)
        centred = features - mean
        variance = centred.square().mean(dim=-2, keepdim=True) if kind == "mean_var" else None
    else:
        steps = torch.arange(features.shape[-2], device=features.device)
        valid = (steps < lengths[:, None]).unsqueeze(-1)
        count = lengths[:, None, None]
        mean = (features * valid).sum(dim=-2, keepdim=True) / count
        centred = (features - mean) * valid
        variance = centred.square().sum(dim=-2, keepdim=True) / count
    if kind == "mean":
        return centred
    return centred / (variance + 1e-5).sqrt()
