"""Losses of assignments to learned prototypes, with terms that keep both in use: SDPN."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.distillation import sinkhorn


def prototype_logits(rows: Tensor, prototypes: Tensor, temperature: float = 0.1) -> Tensor:
    """Return log softmax_k(cos(row, prototype_k) / τ), (N, K) of (N, D) and (K, D), float32."""
    with torch.autocast(rows.device.type, enabled=False):
        dtype = torch.promote_types(rows.dtype, torch.float32)
        cosines = F.normalize(rows.to(dtype)) @ F.normalize(prototypes.to(dtype)).T
        return (cosines / temperature).log_softmax(dim=1)


@torch.no_grad()
def sharp_targets(
    log_probabilities: Tensor,
    *,
    sharpening: float = 0.25,
    iterations: int = 3,
    join: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return targets (N, K): p^(1/T) normalised, then balanced by Sinkhorn's algorithm.

    The algorithm starts from the sharpened probabilities themselves, without an exponential, as in
    the code of SDPN.

    log_probabilities: (N, K) of a teacher. join: as for `sinkhorn`.
    """
    sharp = (log_probabilities.detach() / sharpening).log_softmax(dim=1)
    return sinkhorn(sharp, epsilon=1.0, iterations=iterations, join=join)


def target_cross_entropy(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of −Σ_k target_k · log p_k over views and items.

    log_probabilities: (V·N, K) of the student, view-major. targets: (N, K), the same for all views.
    """
    views = log_probabilities.unflatten(0, (-1, len(targets)))
    return -(targets.detach() * views).sum(dim=2).mean()


def mean_entropy_gap(log_probabilities: Tensor) -> Tensor:
    """Return ln K − H(mean p): 0 if all K prototypes are used alike, ln K if one takes all.

    log_probabilities: (N, K); with several processes of the joined batch.
    """
    mean = log_probabilities.exp().mean(dim=0)
    return torch.log(torch.ones_like(mean).sum()) - torch.special.entr(mean).sum()


def koleo_loss(z: Tensor) -> Tensor:
    """Return −mean_i log(‖u_i − u_n(i) + 1e-8‖ + 1e-8), u unit rows, n(i) the nearest other row.

    It keeps rows apart. No gradient goes through the choice of n(i).

    Source: Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019 (arXiv
    1806.03198), eq. 2.

    z: (N, D), N ≥ 2, of one view; with several processes of the joined batch.
    """
    with torch.autocast(z.device.type, enabled=False):
        unit = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)))
        with torch.no_grad():
            nearest = (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(dim=1)
        distance = F.pairwise_distance(unit, unit[nearest], eps=1e-8)
        return -(distance + 1e-8).log().mean()
