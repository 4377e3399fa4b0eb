"""InfoNCE-style losses; `sv.losses.blocked` computes the products of two matrices."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.blocked import info_nce, symmetric_info_nce
from sv.losses.inputs import at_least_float32, check_pairs
from sv.losses.margins import MarginState, get_margin, with_norms


def nt_xent(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float,
    margin: float | Tensor = 0.0,
    margin_type: str = "none",
    symmetric: bool = True,
    margin_state: MarginState | None = None,
    anchors: slice | None = None,
    speakers: Tensor | None = None,
) -> Tensor:
    """NT-Xent, optionally with a margin on the positives (NT-Xent-AM, -AAM and others).

    With ℓ⁻(u,v) = e^{cos(u,v)/τ} and ℓ⁺ the same with the margin applied to the cosine:

    - asymmetric: −(1/N) Σ_i log[ ℓ⁺(z_i,z'_i) / (ℓ⁺(z_i,z'_i) + Σ_{a≠i} ℓ⁻(z_i,z'_a)) ];
      N positives with N−1 negatives each, all from the other view;
    - symmetric: both views are stacked to 2N items and each is an anchor once;
      2N positives with 2(N−1) negatives each. It is not the mean of two asymmetric losses.

    Source: Lepage & Dehak, "Additive Margin in Contrastive Self-Supervised Frameworks to Learn
    Discriminative Speaker Representations", Odyssey 2024 (arXiv 2404.14913), section 2.

    Parameters
    ----------
    z1, z2: (N, D) embeddings of the two views, row i of both from one utterance. Any length: they
        are L2-normalised here. Half-precision inputs are computed in float32.
    temperature: τ > 0. Small (0.03) looks at the hardest negatives, large (0.5) at all alike.
    margin: in units of cosine (``am``) or radians (``aam``). What matters is margin / τ: with
        τ = 0.03 the published best is 0.1. A tensor receives a gradient.
    margin_type: ``none``, ``am``, ``aam`` or another row of `sv.losses.margins.MARGINS`.
    margin_state: running statistics, for the margins that need them; `AdaptiveMargin` keeps them.
    anchors: with several processes, z1 and z2 are the joined embeddings, and ``anchors`` selects
        this process's own rows of each view. Only these rows are anchors; all others are
        negatives. The mean over processes is the loss of one process with the joined batch.
    speakers: (N,) true speakers. Embeddings of the anchor's speaker are then not used as its
        negatives. This is an ablation: without labels such collisions cannot be known.

    Returns
    -------
    A scalar. The value at chance is log(N) (asymmetric) or log(2N − 1) (symmetric).
    """
    check_pairs(z1, z2)
    _check_temperature(temperature)
    kind, state = get_margin(margin_type), margin_state or MarginState()
    with torch.autocast(z1.device.type, enabled=False):
        both, norms, cosine = _Pairs.apply(*at_least_float32(z1, z2))
        size = len(z1)
        rows = _anchor_rows(size, anchors, symmetric, z1.device)
        state = with_norms(state, norms if symmetric else norms[:size])
        shifted = kind.shift(cosine[rows % size], margin, norms[rows], state)
        positive = shifted / temperature
        hard = (shifted.detach(), state.hardness) if kind.hard_negatives else None
        if symmetric and anchors is None and hard is None and speakers is None:
            return symmetric_info_nce(both, positive, temperature=temperature)
        keys, excluded = _keys(both, rows, symmetric, speakers)
        return info_nce(
            both[rows], keys, positive, temperature=temperature, excluded=excluded, hard=hard
        )


def moco_nce(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    *,
    temperature: float,
    margin: float | Tensor = 0.0,
    margin_type: str = "none",
    margin_state: MarginState | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """MoCo's loss: the positive is the momentum encoder's key, the negatives are a queue of keys.

    −(1/N) Σ_i log[ ℓ⁺(q_i,k_i) / (ℓ⁺(q_i,k_i) + Σ_b ℓ⁻(q_i,queue_b)) ], ℓ as in `nt_xent`.

    Source: He et al., "Momentum Contrast", CVPR 2020, eq. 1; with a margin Lepage & Dehak,
    Odyssey 2024 (arXiv 2404.14913), section 2.

    Parameters
    ----------
    query, key: (N, D), row i of both from one utterance; L2-normalised here. Only the query
        receives a gradient.
    queue: (Q, D) keys of earlier batches, rows of unit length; they are used as they are.
    temperature, margin, margin_type, margin_state: as for `nt_xent`.
    weights: (N, Q) of each negative of each query, without gradient; 0: it is no negative.

    Returns
    -------
    A scalar: the mean over the queries. The value at chance is log(Q + 1).
    """
    check_pairs(query, key, "query and key")
    if queue.ndim != 2 or queue.shape[1] != query.shape[1]:
        raise ValueError(f"queue must be (Q, {query.shape[1]}), not {(*queue.shape,)}")
    _check_temperature(temperature)
    kind, state = get_margin(margin_type), margin_state or MarginState()
    with torch.autocast(query.device.type, enabled=False):
        query, key = at_least_float32(query, key.detach())
        both, norms, cosine = _Pairs.apply(query, key)
        query, norms = both[: len(query)], norms[: len(query)]
        state = with_norms(state, norms)
        shifted = kind.shift(cosine, margin, norms, state)
        hard = (shifted.detach(), state.hardness) if kind.hard_negatives else None
        queue = queue.detach().to(query.dtype)
        if weights is not None:
            # Not log 0: a query whose negatives are all left out would have no gradient.
            weights = weights.detach().to(query.dtype).clamp_min(torch.finfo(query.dtype).tiny)
            # A copy: new keys enter the queue before the backward pass.
            logits = query @ queue.clone().T / temperature + weights.log()
            return F.softplus(logits.logsumexp(dim=1) - shifted / temperature).mean()
        return info_nce(query, queue, shifted / temperature, temperature=temperature, hard=hard)


def _anchor_rows(size: int, anchors: slice | None, symmetric: bool, device: torch.device) -> Tensor:
    """Return the places (n,) of the anchors in both views of ``size`` rows, stacked."""
    own = torch.arange(size, device=device)[slice(None) if anchors is None else anchors]
    return torch.cat([own, own + size]) if symmetric else own


def _keys(
    both: Tensor, rows: Tensor, symmetric: bool, speakers: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the keys (K, D), and for each anchor the places (n, most) of those it leaves out.

    An anchor leaves out itself, its positive and, if ``speakers`` (N,) are given, all keys of its
    speaker. both: (2N, D) embeddings of both views. rows: (n,) places of the anchors in them.
    """
    size = len(both) // 2
    if symmetric:
        keys, excluded = both, torch.stack([rows, (rows + size) % (2 * size)], dim=1)
    else:
        keys, excluded = both[size:], rows[:, None]
    if speakers is not None:
        of_keys = speakers.repeat(len(keys) // size)
        excluded = torch.cat([excluded, _alike(of_keys[rows], of_keys)], dim=1)
    return keys, excluded


def _alike(rows: Tensor, columns: Tensor) -> Tensor:
    """Return the columns with each row's label, (rows, most); short rows repeat their first."""
    same = rows[:, None] == columns
    found, places = same.int().topk(int(same.sum(dim=1).max()), dim=1)
    return torch.where(found.bool(), places, places[:, :1])


class _Pairs(torch.autograd.Function):
    """(z1, z2) → both at unit length, stacked (2N, D); their lengths (2N,); cosines of pairs (N,).

    One function computes all three, because autograd would keep three more copies.
    """

    @staticmethod
    def forward(ctx, z1, z2):
        unit = torch.cat([z1, z2])
        norms = torch.linalg.vector_norm(unit, dim=1)
        unit.div_(norms.clamp_min(1e-12)[:, None])
        ctx.save_for_backward(unit, norms)
        return unit, norms, torch.einsum("nd,nd->n", *unit.chunk(2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_unit, grad_norms, grad_cosine):
        unit, norms = ctx.saved_tensors
        one, two = unit.chunk(2)
        grad = torch.empty_like(unit)
        for part, other, given in zip(grad.chunk(2), (two, one), grad_unit.chunk(2), strict=True):
            torch.addcmul(given, other, grad_cosine[:, None], out=part)
        along = torch.einsum("nd,nd->n", unit, grad)
        floor = norms.clamp_min(1e-12)
        grad.addcmul_(unit, (grad_norms * floor - along)[:, None]).div_(floor[:, None])
        return tuple(grad.chunk(2))


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
