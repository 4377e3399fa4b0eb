"""Losses without negatives that keep the dimensions of an embedding apart: VICReg and relatives."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.inputs import at_least_float32


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

    def covariances(centred: Tensor, variance: Tensor) -> Tensor:
        return cov * _off_diagonal_square(centred, variance) / centred.shape[1]

    return _three_terms(z1, z2, covariances, inv, var)


def vibcreg_loss(
    z1: Tensor, z2: Tensor, *, inv: float = 1.0, var: float = 1.0, cov: float = 8.0
) -> Tensor:
    """VIbCReg: VICReg with correlations in the place of covariances.

    inv · mean (z1 − z2)²
    + var · Σ_views mean_d max(0, 1 − √(Var z_d + 1e-4))
    + cov · Σ_views (1/D²) Σ_{d≠e} R_de², R the correlations of the dimensions over the batch.

    Source: Lee & Aune, "VIbCReg", arXiv 2109.00783, eq. 2 to 7; the divisor D² and the weights
    1 / 1 / 8 as in the reference toolkit for speakers. Before the loss they whiten the outputs
    (`sv.losses.whitening.iterative_whitening`).

    Parameters
    ----------
    z1, z2: (N, D), N ≥ 2, not normalised. With several processes, pass the joined embeddings.
    inv, var, cov: weights, as for `vicreg_loss`.
    """

    def correlations(centred: Tensor, variance: Tensor) -> Tensor:
        standard = F.normalize(centred, dim=0) * (len(centred) - 1) ** 0.5
        _, own = _spread(standard)
        return cov * _off_diagonal_square(standard, own) / centred.shape[1] ** 2

    return _three_terms(z1, z2, correlations, inv, var)


def barlow_twins_loss(
    z1: Tensor, z2: Tensor, *, redundancy: float = 0.005, scale: float = 0.025
) -> Tensor:
    """Barlow Twins: the correlations of one view's dimensions with the other's become the identity.

    scale · [ Σ_d (c_dd − 1)² + redundancy · Σ_{d≠e} c_de² ], c = ẑ1ᵀ·ẑ2 / N, with ẑ_d = (z_d −
    mean) / √(Var + 1e-5) over the batch, Var divided by N.

    Source: Zbontar et al., "Barlow Twins", ICML 2021 (arXiv 2103.03230), eq. 1 and 2. The factor
    0.025 is that of the reference toolkit for speakers; it is in no equation of the paper.

    Parameters
    ----------
    z1, z2: (N, D), N ≥ 2, not normalised. With several processes, pass the joined embeddings.
    redundancy: λ. If it is too low, dimensions repeat each other; if it is too high, the two crops
        of an utterance need not agree.
    scale: changes the size of the gradient, which matters to SGD and hardly to Adam.
    """
    _check_shapes(z1, z2)
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = (F.batch_norm(z, None, None, training=True) for z in at_least_float32(z1, z2))
        correlations = z1.T @ z2 / len(z1)
        agree = correlations.diagonal()
        others = correlations.square().sum() - agree.square().sum()
        return scale * ((agree - 1.0).square().sum() + redundancy * others)


def rdino_regulariser(rows: Tensor, *, outputs: int, std: float = 10.0, cov: float = 1.0) -> Tensor:
    """Return what RDINO adds to the loss of DINO for one network, student or teacher.

    With x the mean of the rows over the crops and C its unbiased covariance over the batch:

    std · ½ · mean_d max(0, 1 − √(Var x_d + 1e-4)) + cov · Σ_{d≠e} C_de² / outputs

    Source: Chen et al., "Pushing the limits of self-supervised speaker verification using
    regularized distillation framework", ICASSP 2023 (arXiv 2211.04168), and the authors' code,
    which divides by the outputs of the head and not by the width of the rows.

    Parameters
    ----------
    rows: (crops, N, D) of a wide layer of the head, N ≥ 2. With several processes, pass those of
        the joined batch.
    outputs: of the head's last layer; 65,536 as published.
    std, cov: weights.
    """
    if rows.ndim != 3 or rows.shape[1] < 2:
        raise ValueError(f"rows must be (crops, N, D), N of at least 2, not {(*rows.shape,)}")
    with torch.autocast(rows.device.type, enabled=False):
        x = at_least_float32(rows)[0].mean(dim=0)
        centred, variance = _spread(x)
        return (
            std * 0.5 * _too_narrow(variance)
            + cov * _off_diagonal_square(centred, variance) / outputs
        )


def _check_shapes(z1: Tensor, z2: Tensor) -> None:
    if z1.shape != z2.shape or z1.ndim != 2 or len(z1) < 2:
        raise ValueError(
            f"z1 and z2 must both be (N, D) with N of at least 2, "
            f"not {(*z1.shape,)} and {(*z2.shape,)}"
        )


def _three_terms(
    z1: Tensor, z2: Tensor, redundancy: Callable[[Tensor, Tensor], Tensor], inv: float, var: float
) -> Tensor:
    """Return inv · distance + Σ_views (var · lack of spread + redundancy(centred, variance))."""
    _check_shapes(z1, z2)
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = at_least_float32(z1, z2)
        loss = inv * F.mse_loss(z1, z2)
        for z in (z1, z2):
            centred, variance = _spread(z)
            loss = loss + var * _too_narrow(variance)
            loss = loss + redundancy(centred, variance)
        return loss


def _spread(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return z (N, D) less its mean, and the unbiased variances (D,)."""
    centred = z - z.mean(dim=0)
    return centred, centred.square().sum(dim=0) / (len(z) - 1)


def _too_narrow(variance: Tensor) -> Tensor:
    """Return by how much deviations are below 1: mean_d max(0, 1 − √(Var_d + 1e-4))."""
    return F.relu(1.0 - (variance + 1e-4).sqrt()).mean()


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
