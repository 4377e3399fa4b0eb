"""Whitening of a batch, so that no dimension can collapse: W-MSE's, and VIbCReg's iterations."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.inputs import at_least_float32, check_pairs


def whiten(z: Tensor, eps: float = 0.0) -> Tensor:
    """Return (z − mean) · L⁻ᵀ with L·Lᵀ = (1 − eps)·C + eps·I, C the unbiased covariance.

    With eps = 0 the rows have mean 0 and the identity as covariance. Source: Ermolov et al.,
    "Whitening for Self-Supervised Representation Learning", ICML 2021 (arXiv 2007.06346), eq. 3.

    Parameters
    ----------
    z: (N, D), N > D if eps is 0.
    eps: 0 to below 1. Raise it if C is singular: with too few items, or after a collapse.

    Raises
    ------
    torch.linalg.LinAlgError: C is singular.
    """
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    lower = torch.linalg.cholesky((1.0 - eps) * covariance + eps * identity)
    return torch.linalg.solve_triangular(lower, centred.T, upper=False).T


def w_mse_loss(
    z1: Tensor, z2: Tensor, *, parts: Sequence[Tensor] | None = None, eps: float = 0.0
) -> Tensor:
    """Return the mean squared distance of whitened unit rows: 2 − 2 · mean_i cos(w1_i, w2_i).

    Each view is whitened by itself (`whiten`), within each part of the batch. The value at chance
    is 2.

    Source: Ermolov et al., ICML 2021 (arXiv 2007.06346), eq. 5 and section 3.1, with the cosine.

    Parameters
    ----------
    z1, z2: (N, D), not normalised. With several processes, pass the joined embeddings.
    parts: the items of each part; together all items once. None: one part. Small parts make the
        estimate of the covariance noisier, and each needs more than D items.
    eps: as for `whiten`.
    """
    check_pairs(z1, z2)
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = at_least_float32(z1, z2)
        parts = [torch.arange(len(z1), device=z1.device)] if parts is None else parts
        cosines = [
            F.cosine_similarity(whiten(z1[part], eps), whiten(z2[part], eps), dim=1)
            for part in parts
        ]
        return 2.0 - 2.0 * torch.cat(cosines).mean()


def iterative_whitening(
    x: Tensor, *, groups: int, iterations: int = 5, eps: float = 1e-5
) -> Tensor:
    """Return x whitened within groups of dimensions, by Newton's iterations.

    For each group of D / groups consecutive dimensions, Σ = XᵀX / N + eps·I of the centred X:
    P_0 = I, P_{k+1} = (3·P_k − P_k³·Σ / tr Σ) / 2, and the result is X·P_T / √tr Σ, which tends to
    X·Σ^(−1/2). Five iterations whiten the strong directions, and do not blow up the weak ones.

    Source: Huang et al., "Iterative Normalization", CVPR 2019 (arXiv 1904.03441), algorithm 1.

    Parameters
    ----------
    x: (N, D); ``ValueError`` unless D is a multiple of groups.
    groups: more groups need fewer items, and whiten less.
    iterations: T.
    """
    if x.ndim != 2 or x.shape[1] % groups:
        raise ValueError(f"x must be (N, D), D a multiple of {groups}, not {(*x.shape,)}")
    with torch.autocast(x.device.type, enabled=False):
        (x,) = at_least_float32(x)
        centred = (x - x.mean(dim=0)).unflatten(1, (groups, -1)).transpose(0, 1)  # (G, N, D/G)
        identity = torch.eye(centred.shape[2], dtype=x.dtype, device=x.device)
        covariance = centred.mT @ centred / len(x) + eps * identity
        trace = covariance.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        root = identity.expand_as(covariance)
        for _ in range(iterations):
            root = 1.5 * root - 0.5 * root @ root @ root @ (covariance / trace)
        return (centred @ root / trace.sqrt()).transpose(0, 1).flatten(1)
