"""A mean over some items of a batch: the loss of training on pseudo-labels with a gate."""

import torch
from torch import Tensor


def gated_mean(losses: Tensor, keep: Tensor, share: Tensor | None = None) -> Tensor:
    """Return the mean of the losses that count, Σ_i k_i ℓ_i / Σ_i k_i; 0 if none counts.

    Source: "loss-gated learning", Tao et al., ICASSP 2022 (arXiv 2110.03869), with
    k_i = 1[ℓ_i ≤ gate]. The shapes do not depend on ``keep``, so a GPU does not wait.

    Parameters
    ----------
    losses: (N,) losses of the items.
    keep: (N,) booleans, which of them count. A loss that does not count gets no gradient, even if
        it is infinite.
    share: with several processes, the share of the items of all processes that count; by default
        that of ``keep``. The mean over processes, weighted by their items, is then the loss of one.
    """
    if losses.ndim != 1 or keep.shape != losses.shape:
        raise ValueError(
            f"losses and keep must both be (N,), not {(*losses.shape,)} and {(*keep.shape,)}"
        )
    if share is None:
        share = keep.to(losses.dtype).mean()
    return torch.where(keep, losses, 0.0).mean() / share.clamp_min(torch.finfo(losses.dtype).tiny)
