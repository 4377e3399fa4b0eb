"""The angular contrastive loss: angles of pairs, which is finer than cosines for close pairs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.contrastive import nt_xent
from sv.losses.inputs import at_least_float32, check_pairs


def angular_pair_loss(
    z1: Tensor, z2: Tensor, *, margin: float = 0.5, divisor: float = 25.0
) -> Tensor:
    """Return [ Σ_positive θ² + Σ_negative max(0, margin − θ)² ] / divisor.

    θ is the angle of a pair in radians. The sums are over ordered pairs of the 2N rows of both
    views, no row with itself; a pair is positive if it is of one utterance. The divisor is the same
    for any batch, so the loss grows with the batch.

    Source: Wang et al., "Self-supervised learning of audio representations using angular
    contrastive loss", arXiv 2211.05442, and the authors' code.

    Parameters
    ----------
    z1, z2: (N, D), row i of both from one utterance; L2-normalised here.
    margin: the angle beyond which negatives are left alone.
    """
    check_pairs(z1, z2)
    with torch.autocast(z1.device.type, enabled=False):
        z = F.normalize(torch.cat(at_least_float32(z1, z2)))
        row = torch.arange(len(z), device=z.device)
        # Where two rows are alike, the slope of acos is infinite; there it becomes 0.
        angle = (z @ z.T).clamp(-1.0 + 1e-7, 1.0 - 1e-7).acos()
        positive = angle[row, row.roll(len(z1))].square().sum()
        near = F.relu(margin - angle).square()
        itself, partner = near[row, row].sum(), near[row, row.roll(len(z1))].sum()
        return (positive + near.sum() - itself - partner) / divisor


def angular_contrastive_loss(
    projections: tuple[Tensor, Tensor],
    embeddings: tuple[Tensor, Tensor],
    *,
    alpha: float,
    temperature: float = 0.2,
    margin: float = 0.5,
    divisor: float = 25.0,
) -> Tensor:
    """Return α · NT-Xent of the projections + (1 − α) · `angular_pair_loss` of the embeddings.

    NT-Xent is symmetric and has no margin. Parameters as for `nt_xent` and `angular_pair_loss`,
    each pair of tensors (N, D) of both views.
    """
    contrast = nt_xent(*projections, temperature=temperature)
    angles = angular_pair_loss(*embeddings, margin=margin, divisor=divisor)
    return alpha * contrast + (1.0 - alpha) * angles
