"""Losses without negatives that keep the dimensions of an embedding apart: VICReg."""

import torch
import torch.nn.functional as F
from torch import Tensor


def vicreg_loss(
    z1: Tensor, z2: Tensor, *, inv: float = 1.0, var: float = 1.0, cov: float = 0.04
) -> Tensor:
    """Variance-invariance-covariance regularisation.

    inv · mean (z1 − z2)²
    + var · Σ_views mean_d max(0, 1 − √(Var z_d + 1e-4))
    + cov · Σ_views (1/D) Σ_{d≠e} C_de², Var and C the unbiased (co)variances over the batch.

    Source: Bardes, Ponce & LeCun, "VICReg", ICLR 2022, eq. 1 to 6; weights 1 / 1 / 0.04 as used
    for speakers by Lepage & Dehak.

    Parameters
    ----------
    z1, z2: (N, D) outputs of the projector, N ≥ 2, not normalised. With several processes, pass
        the joined embeddings (`sv.distributed.gather`) in every process.
    inv, var, cov: weights. Without ``var`` all embeddings become one point; without ``cov`` the
        dimensions become copies of each other.
    """
    if z1.shape != z2.shape or z1.ndim != 2 or len(z1) < 2:
        raise ValueError(
            f"z1 and z2 must both be (N, D) with N of at least 2, "
            f"not {(*z1.shape,)} and {(*z2.shape,)}"
        )
    with torch.autocast(z1.device.type, enabled=False):
        dtype = torch.promote_types(z1.dtype, torch.float32)
        z1, z2 = z1.to(dtype), z2.to(dtype)
        loss = inv * F.mse_loss(z1, z2)
        for z in (z1, z2):
            centred = z - z.mean(dim=0)
            variance = centred.square().sum(dim=0) / (len(z) - 1)
            loss = loss + var * F.relu(1.0 - (variance + 1e-4).sqrt()).mean()
            loss = loss + cov * _off_diagonal_square(centred, variance) / z.shape[1]
        return loss


def _off_diagonal_square(centred: Tensor, variance: Tensor) -> Tensor:
    """Return Σ_{d≠e} C_de² for C = centredᵀ·centred / (N − 1).

    The squares of all entries of ZᵀZ and of ZZᵀ have the same sum, so the smaller of the two
    products is computed. With 2,048 dimensions and a batch of 256 that is an eighth of the work.
    """
    n, dim = centred.shape
    if n < dim:
        gram = centred @ centred.T / (n - 1)
        return gram.square().sum() - variance.square().sum()
    covariance = centred.T @ centred / (n - 1)
    return covariance.square().sum() - covariance.diagonal().square().sum()
