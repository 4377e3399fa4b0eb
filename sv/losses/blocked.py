"""log(1 + Σ_j e^{s_ij/τ} / e^{p_i}) over many pairs, with its gradient, in blocks of the matrix s.

The matrix of all pairs is never held in memory. The caller computes the positives' logits p, so
autograd differentiates any margin that was applied to them. This file only sums the negatives; the
gradient of each positive is one number. The gradients are accumulated in the forward pass, while a
block is in cache, so the backward pass only scales them.

Almost all the time goes to matrix products, so there are three functions:

- `rows`: any anchors against any keys. Three products.
- `symmetric`: all items against all others, as in symmetric NT-Xent. s = sᵀ, so only the upper
  half is computed and used for rows and columns: 1.5 products instead of three. The part that does
  not fit in `KEPT_ELEMENTS` is computed twice.
- `stream`: keys without a gradient, as in a queue. One pass over the keys with a running maximum,
  so a queue larger than any cache is read once. Two products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_ELEMENTS = 2**21
"""Number of logits in a block: 8 MB in float32, which stays in the cache of most processors."""

KEPT_ELEMENTS = 10 * 2**21
"""Number of exponentials that `symmetric` keeps between its two passes: 84 MB in float32."""

LARGEST_EXPONENT = 78.0
"""Largest 1/τ for which e^{cos/τ} and sums of thousands of them fit in float32 without a shift."""


def info_nce(
    anchors: Tensor,
    keys: Tensor,
    positive: Tensor,
    *,
    temperature: float,
    excluded: Tensor | None = None,
    hard: tuple[Tensor, Tensor | float] | None = None,
) -> Tensor:
    """Return the mean over anchors i of log(1 + Σ_j e^{a_i·k_j/τ} / e^{p_i}), j not in excluded(i).

    Parameters
    ----------
    anchors, keys: (A, D) and (K, D), rows of unit length.
    positive: (A,) logits p.
    excluded: (A, E) columns that are not negatives of an anchor: its positive, and the anchor.
    hard: thresholds (A,) and t. A cosine c above its anchor's threshold becomes c·(t + c).
    """
    return _InfoNCE.apply(anchors, keys, positive, excluded, temperature, hard)


def symmetric_info_nce(z: Tensor, positive: Tensor, *, temperature: float) -> Tensor:
    """Return `info_nce` of all of z (2N, D) against all of z, except pairs (i, i) and (i, i ± N).

    positive: (2N,) logits.
    """
    if 1 / temperature <= LARGEST_EXPONENT:
        return _SymmetricInfoNCE.apply(z, positive, temperature)
    itself = torch.arange(len(z), device=z.device)
    excluded = torch.stack([itself, itself.roll(len(z) // 2)], dim=1)
    return info_nce(z, z, positive, temperature=temperature, excluded=excluded)


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, anchors, keys, positive, excluded, temperature, hard):
        if ctx.needs_input_grad[1] or excluded is not None or hard is not None:
            loss, *gradients = rows(anchors, keys, positive, excluded, temperature, hard)
        else:
            loss, *gradients = stream(anchors, keys, positive, temperature)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        anchors, keys, positive = ctx.saved_tensors
        keys = grad_output * keys if ctx.needs_input_grad[1] else None
        return grad_output * anchors, keys, grad_output * positive, None, None, None


class _SymmetricInfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, positive, temperature):
        loss, *gradients = symmetric(z, positive, temperature)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        grad_z, grad_positive = ctx.saved_tensors
        return grad_output * grad_z, grad_output * grad_positive, None


def rows(
    anchors: Tensor,
    keys: Tensor,
    positive: Tensor,
    excluded: Tensor | None,
    temperature: float,
    hard: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the loss and its gradients for anchors, keys and positive, in blocks of whole rows."""
    grad_anchors, grad_keys = torch.empty_like(anchors), torch.zeros_like(keys)
    grad_positive = torch.empty_like(positive)
    loss = positive.new_zeros(())
    for start, stop in _ranges(len(anchors), max(1, BLOCK_ELEMENTS // len(keys))):
        block = anchors[start:stop]
        logits = block @ keys.T
        slope = None
        if hard is not None:
            threshold, t = hard
            slope = torch.where(logits > threshold[start:stop, None], t + 2 * logits, 1.0)
            logits = torch.where(slope == 1.0, logits, logits * (t + logits))
        logits.div_(temperature)
        if excluded is not None:
            logits.scatter_(1, excluded[start:stop], -torch.inf)
        top = logits.amax(dim=1).clamp_min(torch.finfo(logits.dtype).min)
        total = logits.sub_(top[:, None]).exp_().sum(dim=1)
        block_loss, pull = _close(top + total.log(), positive[start:stop])
        loss += block_loss
        grad_positive[start:stop] = -pull
        logits.mul_((pull / total.clamp_min(torch.finfo(total.dtype).tiny))[:, None])
        if slope is not None:
            logits.mul_(slope)
        torch.mm(logits, keys, out=grad_anchors[start:stop])
        grad_keys.addmm_(logits.T, block)
    inner = 1.0 / (temperature * len(anchors))
    return (
        loss / len(anchors),
        grad_anchors.mul_(inner),
        grad_keys.mul_(inner),
        grad_positive.div_(len(anchors)),
    )


def symmetric(z: Tensor, positive: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss and its gradients for z and positive, in blocks of the upper half.

    With E_ij = e^{s_ij/τ} and row sums r, the gradient is G z with G_ij = E_ij (u_i + u_j) and
    u = weight / r, so G is symmetric too. All rows must then have the same shift. We use none, so
    ``1/τ ≤ LARGEST_EXPONENT`` is required.

    Up to 84 MB of the upper half is kept. Computing the rest a second time is a sixth of all
    products in the benchmark; keeping all of it would take 143 MB (``python -m benchmarks.run
    losses``).
    """
    size = len(z)

    def exponentials(start: int, stop: int) -> Tensor:
        block = (z[start:stop] / temperature) @ z[start:].T
        block.exp_()
        block.diagonal().zero_()
        block.diagonal(size // 2).zero_()
        block.diagonal(-(size // 2)).zero_()  # exists if a block has more than half of the rows
        return block

    total, kept, room = z.new_zeros(size), {}, KEPT_ELEMENTS
    strips = _ranges(size, max(1, BLOCK_ELEMENTS // size))
    for start, stop in strips:
        block = exponentials(start, stop)
        total[start:stop] += block.sum(dim=1)
        total[stop:] += block[:, stop - start :].sum(dim=0)
        if block.numel() <= room:
            room -= block.numel()
            kept[start] = block
    loss, pull = _close(total.log(), positive)
    share = pull / total.clamp_min(torch.finfo(total.dtype).tiny)
    grad_z = torch.zeros_like(z)
    for start, stop in strips:
        block = kept.pop(start) if start in kept else exponentials(start, stop)
        block.mul_(share[start:stop, None] + share[start:])
        grad_z[start:stop].addmm_(block, z[start:])
        grad_z[stop:].addmm_(block[:, stop - start :].T, z[start:stop])
    return loss / size, grad_z.mul_(1.0 / (temperature * size)), pull.div_(-size)


def stream(
    anchors: Tensor, keys: Tensor, positive: Tensor, temperature: float
) -> tuple[Tensor, Tensor, None, Tensor]:
    """Return the loss and its gradients for anchors and positive, in blocks of keys."""
    scaled = anchors / temperature
    top = torch.full_like(positive, torch.finfo(positive.dtype).min)
    total, weighted = torch.zeros_like(positive), torch.zeros_like(anchors)
    for start, stop in _ranges(len(keys), max(1, BLOCK_ELEMENTS // (2 * len(anchors)))):
        block = keys[start:stop]
        logits = scaled @ block.T
        higher = torch.maximum(top, logits.amax(dim=1))
        shrink = (top - higher).exp_()
        total = total * shrink + logits.sub_(higher[:, None]).exp_().sum(dim=1)
        weighted.mul_(shrink[:, None]).addmm_(logits, block)
        top = higher
    loss, pull = _close(top + total.log(), positive)
    share = pull / (total * temperature * len(anchors))
    return loss / len(anchors), weighted.mul_(share[:, None]), None, pull.div_(-len(anchors))


def _close(negatives: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ log(1 + e^{n−p}) and its derivative by each n, the negatives' share."""
    gap = negatives - positive
    return F.softplus(gap).sum(), gap.sigmoid()


def _ranges(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(size, start + step)) for start in range(0, size, step)]
