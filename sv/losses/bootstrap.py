"""Losses of methods that predict one view from the other, without negatives: BYOL, SimSiam."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.inputs import at_least_float32, check_pairs


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of unit vectors, mean over the batch: one direction of BYOL.

    L = (1/N) Σ_i ‖p_i/‖p_i‖ − z_i/‖z_i‖‖² = 2 − (2/N) Σ_i cos(p_i, z_i)

    The loss of a step is the sum of both directions: p of view 1 with z of view 2, and p of view 2
    with z of view 1. It is 4 if predictions and targets are orthogonal, and 0 if they are equal. A
    collapsed network reaches 0 too.

    Source: Grill et al., "Bootstrap your own latent", NeurIPS 2020 (arXiv 2006.07733), eq. 2.

    Parameters
    ----------
    prediction: (N, D) outputs of the predictor, not normalised.
    target: (N, D) outputs of the target's projector, not normalised; no gradient flows into it.
    """
    return 2.0 - 2.0 * _mean_cosine(prediction, target)


def simsiam_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the negative cosine, mean over the batch: one direction of SimSiam.

    L = −(1/N) Σ_i cos(p_i, z_i)

    The loss of a step is the mean of both directions, p of view 1 with z of view 2 and the reverse.
    It is 0 if predictions and targets are orthogonal, and −1 if they are alike, which a collapsed
    network reaches too.

    Source: Chen & He, "Exploring Simple Siamese Representation Learning", CVPR 2021 (arXiv
    2011.10566), eq. 1 and 2.

    Parameters
    ----------
    prediction: (N, D) outputs of the predictor, not normalised.
    target: (N, D) outputs of the projector, not normalised; no gradient flows into it.
    """
    return -_mean_cosine(prediction, target)


def _mean_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    check_pairs(prediction, target, "prediction and target")
    with torch.autocast(prediction.device.type, enabled=False):
        return F.cosine_similarity(*at_least_float32(prediction, target.detach()), dim=1).mean()
