"""Contrastive predictive coding: the future of an utterance is told from that of others."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cpc_loss(predictions: Tensor, future: Tensor) -> Tensor:
    """Return the cross-entropy of each item's own future among those of all items, mean over steps.

    L = −(1/T) Σ_t (1/N) Σ_i log[ e^{p_it·f_it} / Σ_j e^{p_it·f_jt} ]

    Products are plain: there is no temperature, and lengths count. The loss of vectors that are all
    alike is ln N.

    Source: van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive Coding"
    (arXiv 1807.03748), eq. 3 and 4. Negatives are the same step of the other items.

    Parameters
    ----------
    predictions: (N, D, T), of T steps ahead. With several processes, of the joined batch.
    future: (N, D, T), what was there.
    """
    if predictions.shape != future.shape or predictions.ndim != 3:
        shapes = f"{(*predictions.shape,)} and {(*future.shape,)}"
        raise ValueError(f"predictions and future must both be (N, D, T), not {shapes}")
    with torch.autocast(predictions.device.type, enabled=False):
        dtype = torch.promote_types(predictions.dtype, torch.float32)
        logits = predictions.to(dtype).permute(2, 0, 1) @ future.to(dtype).permute(2, 1, 0)
        own = torch.arange(len(future), device=future.device).repeat(len(logits))
        return F.cross_entropy(logits.flatten(0, 1), own)
