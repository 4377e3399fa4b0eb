"""Losses of contrastive separative coding: separation, and prediction of a global speaker vector.

After Wang, Lam, Su and Yu, "Contrastive Separative Coding for Self-Supervised Representation
Learning", ICASSP 2021 (arXiv 2103.00816). Only its abstract was at hand. The formulas are our
reading of it; docs/csc.md says which parts are ours.
"""

from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

COMPRESSION = 0.3
"""Exponent of power in the separation loss. Power^0.3 is about loudness, so peaks count less."""


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must also serve a later call with gradients
def _orders(n: int, device: torch.device) -> Tensor:
    """Return all orders of n sources, (n!, n); they are copied to the device once."""
    return torch.tensor(list(permutations(range(n))), device=device)


def pit_loss(
    estimates: Tensor, sources: Tensor, mixture: Tensor, *, compression: float = COMPRESSION
) -> tuple[Tensor, Tensor]:
    """Permutation-invariant error of separated log-mel power (Yu et al., ICASSP 2017).

    With p the ``compression``, X the mixture, Ŝ the estimates and S the sources, all mel power:
    L = mean over the batch of min_π Σ_s Σ_tf (Ŝ_s^p − S_π(s)^p)² / Σ_tf X^2p.

    Parameters
    ----------
    estimates, sources: (batch, n, frames, mel) log power. An absent source is at the floor of the
        filterbank, and matches a silent estimate.
    mixture: (batch, frames, mel) log power.

    Returns
    -------
    The loss, 0 for perfect separation, and (batch, n): for each source, the number of the estimate
    that the best permutation gives it. Computed in float32 at least.
    """
    if estimates.shape != sources.shape or estimates.shape[2:] != mixture.shape[1:]:
        raise ValueError(
            f"estimates {(*estimates.shape,)} and sources {(*sources.shape,)} must both be "
            f"(batch, n, frames, mel), the mixture (batch, frames, mel), not {(*mixture.shape,)}"
        )
    with torch.autocast(estimates.device.type, enabled=False):
        dtype = torch.promote_types(estimates.dtype, torch.float32)
        loud = (compression * estimates.to(dtype)).exp().flatten(2)
        true = (compression * sources.to(dtype)).exp().flatten(2)
        energy = (2 * compression * mixture.to(dtype)).exp().sum(dim=(1, 2))
        # error[b, s, e] of estimate e as source s
        error = (true[:, :, None] - loud[:, None]).square().sum(dim=3)
        n = estimates.shape[1]
        orders = _orders(n, estimates.device)
        total = error[:, torch.arange(n, device=orders.device), orders].sum(dim=2)  # (batch, n!)
        best, which = total.min(dim=1)
    return (best / energy).mean(), orders[which]


def cross_attention(
    queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return global speaker vectors: g_i = Σ_j softmax_j(q_iᵀ k_j / √d) v_j over the allowed j.

    Parameters
    ----------
    queries: (M, d). keys: (R, d). values: (R, D).
    allowed: (M, R) bool. Do not allow the current condition of a speaker: its vector would predict
        itself.

    Returns
    -------
    (M, D) vectors, and (M,) bool: whether the row has an allowed key. Rows without one are zero.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    logits = (queries.to(dtype) @ keys.to(dtype).T) / queries.shape[1] ** 0.5
    some = allowed.any(dim=1)
    logits = logits.masked_fill(~allowed, float("-inf")).masked_fill(~some[:, None], 0.0)
    weights = logits.softmax(dim=1) * allowed
    return weights @ values.to(dtype), some


def csl_scores(v: Tensor, g: Tensor, alpha: Tensor | float, beta: Tensor | float) -> Tensor:
    """Return log f(v_i, g_j) = −α‖v_i − g_j‖² + β: (M, N) for v (M, D) and g (N, D)."""
    dtype = torch.promote_types(v.dtype, torch.float32)
    v, g = v.to(dtype), g.to(dtype)
    square = v.square().sum(1)[:, None] + g.square().sum(1)[None] - 2 * (v @ g.T)
    return beta - alpha * square.clamp_min(0.0)


def separative_loss(
    scores: Tensor, own: Tensor, candidates: Tensor, counted: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """L = −mean_i log[f(v_i, g_own(i)) / Σ_j f(v_i, g_j)] and its bound on mutual information.

    Parameters
    ----------
    scores: (M, N) log f of every v with every g: ``csl_scores``, or cosines over a temperature.
    own: (M,) column of the vector that each v must predict.
    candidates: (M, N) bool, the j of the sum; the column ``own`` is always included.
    counted: (M,) bool, the i of the means; None: all. At least one must be true.

    Returns
    -------
    The loss, and the bound I(v; g) ≥ mean_i log n_i − L in nats, n_i being the number of
    candidates of i (van den Oord et al. 2018, arXiv 1807.03748). The bound never exceeds log n,
    even if the vectors are separated perfectly. β cancels in the ratio, so it gets no gradient.
    """
    candidates = candidates.clone()
    candidates[torch.arange(len(own), device=own.device), own] = True
    positive = scores.gather(1, own[:, None])[:, 0]
    total = scores.masked_fill(~candidates, float("-inf")).logsumexp(dim=1)
    loss = _mean(total - positive, counted)
    chance = _mean(candidates.sum(dim=1).to(scores.dtype).log(), counted)
    return loss, chance - loss.detach()


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    """Return the mean of the values (M,) that count; no shape depends on how many they are."""
    if counted is None:
        return values.mean()
    return torch.where(counted, values, 0.0).sum() / counted.sum()
