"""Losses that need speaker labels: AAM-Softmax, SupCon, and H-SCL with its hard negatives."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.margins import MarginState, get_margin


def aam_softmax(
    embeddings: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    scale: float = 30.0,
    margin: float = 0.2,
    sub_centers: int = 1,
) -> Tensor:
    """Additive angular margin softmax: cross-entropy of s·cos θ, with s·cos(θ_y + m) for the label.

    Source: Deng et al., "ArcFace", CVPR 2019, eq. 3; sub-centres: Deng et al., "Sub-center
    ArcFace", ECCV 2020, eq. 2 and 3. The margin is `sv.losses.margins.additive_angular`.

    Parameters
    ----------
    embeddings: (N, D), any length: L2-normalised here, as are the rows of ``weight``.
    weight: (classes, D), or (classes·sub_centers, D) with the sub-centres of a class together.
    labels: (N,) class indices.
    scale: s = 1/τ; 30. If it is too low, the loss stays high even for perfect embeddings.
    margin: m in radians; 0.2.
    sub_centers: number of centres of a class. The nearest one counts, so outliers may have their
        own.
    """
    how = {"scale": scale, "margin": margin, "sub_centers": sub_centers}
    with torch.autocast(embeddings.device.type, enabled=False):
        return F.cross_entropy(aam_logits(embeddings, weight, labels, **how), labels)


def aam_logits(
    embeddings: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    scale: float,
    margin: float,
    sub_centers: int = 1,
) -> Tensor:
    """Return what `aam_softmax` gives to the cross-entropy, (N, classes); arguments as there."""
    with torch.autocast(embeddings.device.type, enabled=False):
        cosine = class_cosines(embeddings, weight, sub_centers)
        target = cosine.gather(1, labels[:, None])
        shifted = get_margin("aam").shift(target, margin, None, MarginState())
        return cosine.mul(scale).scatter(1, labels[:, None], scale * shifted)


def class_cosines(embeddings: Tensor, weight: Tensor, sub_centers: int = 1) -> Tensor:
    """Return the cosines (N, classes) of embeddings with the nearest centre of each class."""
    if sub_centers < 1 or len(weight) % sub_centers:
        raise ValueError(
            f"weight has {len(weight)} rows, not a multiple of sub_centers={sub_centers}"
        )
    with torch.autocast(embeddings.device.type, enabled=False):
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        embeddings, weight = F.normalize(embeddings.to(dtype)), F.normalize(weight.to(dtype))
        cosine = embeddings @ weight.T
        if sub_centers > 1:
            cosine = cosine.unflatten(1, (-1, sub_centers)).amax(dim=2)
        return cosine


def supcon(
    z: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor,
    anchors: slice | None = None,
    margin: float = 0.0,
    attention: Tensor | None = None,
) -> Tensor:
    """Supervised contrastive loss: every item of the same speaker is a positive.

    −mean_i (1/|P(i)|) Σ_{p∈P(i)} log[ e^{cos_ip/τ} / Σ_{a≠i} e^{cos_ia/τ} ], over the items i that
    have a positive. Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2.

    With a margin, cos_ip − m is in the place of cos_ip for every positive p, above and below:
    angular SupCon (Li, Mak & Meng, ICASSP 2023, arXiv 2210.16622, as in their released code).

    With attention a, the negatives n of anchor i count w_in / mean_n w_in in the sum below, where
    w_ij = min(a_i, a_j). Their paper has such weights; this form of them is ours. Equal attention
    is no attention.

    Parameters
    ----------
    z: (N, D) embeddings of any length: L2-normalised here.
    labels: (N,) speakers, with any number of items each; ``ValueError`` if no two items share one.
    temperature: τ > 0; start with 0.1. A tensor (`LearnableTemperature`) receives a gradient.
    anchors: with several processes, z and labels are the joined batch, and ``anchors`` selects this
        process's own rows. Only these rows are anchors. The mean over processes of equal size is
        the loss of one process with the joined batch.
    margin: m ≥ 0, in units of cosine; 0.1. What matters is m / τ.
    attention: (N,) in (0, 1], small for items that are hard or noisy; no gradient flows into it.
    """
    with torch.autocast(z.device.type, enabled=False):
        cosine, positive, itself, share = _pairs(z, labels, anchors)
        if margin:
            cosine = torch.where(positive, cosine - margin, cosine)
        logits = cosine / temperature
        below = logits.masked_fill(itself, -torch.inf)
        if attention is not None:
            below = below + _log_weights(attention.detach().to(z.dtype), positive | itself, anchors)
        log_total = below.logsumexp(dim=1)
        attraction = (logits * positive).sum(dim=1)
        return (share * (positive.sum(dim=1) * log_total - attraction)).sum()


def h_scl(
    z: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor,
    beta: float,
    anchors: slice | None = None,
) -> Tensor:
    """Supervised contrastive loss in which harder negatives weigh more (H-SCL).

    With c_ij = e^{2cos_ij/τ}, weights w_ij = c_ij^β without gradient, n_i negatives and their
    weighted mean S_i = Σ w_ij c_ij / Σ w_ij:
    −mean_i (1/|P(i)|) Σ_{p∈P(i)} log[ c_ip / (c_ip + n_i S_i) ], over the items i with a positive.

    Source: Jiang et al., "Supervised Contrastive Learning with Hard Negative Samples", 2022
    (arXiv 2209.00078), as released with Masztalski et al., Interspeech 2025 (arXiv 2507.17540). The
    factor 2 is from that release, and n_i = 2N − 2 for two items of each of N speakers. If an
    anchor has several positives, they are averaged, each with its own denominator; that is ours.

    Parameters
    ----------
    z, labels, temperature, anchors: as for `supcon`; at least two speakers, else ``ValueError``.
    beta: 0.1. 0 weighs all negatives alike; a large value weighs only the hardest one.
    """
    if reading_is_free(labels) and bool((labels == labels[0]).all()):
        raise ValueError("all items have the same label: there are no negatives")
    with torch.autocast(z.device.type, enabled=False):
        cosine, positive, itself, share = _pairs(z, labels, anchors)
        log_c = 2.0 * cosine / temperature
        negatives = ~(positive | itself)
        log_w = (beta * log_c.detach()).masked_fill(~negatives, -torch.inf)
        log_s = (log_w + log_c).logsumexp(dim=1) - log_w.logsumexp(dim=1)
        log_rest = negatives.sum(dim=1).to(cosine.dtype).log() + log_s
        terms = F.softplus(log_rest[:, None] - log_c)
        return (share * (terms * positive).sum(dim=1)).sum()


def reading_is_free(labels: Tensor) -> bool:
    """Tell whether labels may be looked at: a look at those on a GPU would stop it.

    There the batches of a training must be right, and ``sv.sampling`` sees to that.
    """
    return labels.device.type == "cpu"


def _log_weights(attention: Tensor, no_negative: Tensor, anchors: slice | None) -> Tensor:
    """Return log[ w_ij / mean_n w_in ] of the negatives of A anchors, 0 elsewhere: (A, N)."""
    own = slice(None) if anchors is None else anchors
    weights = torch.minimum(attention[own, None], attention).masked_fill(no_negative, 0.0)
    mean = weights.sum(dim=1) / (~no_negative).sum(dim=1)
    return (weights / mean[:, None]).masked_fill(no_negative, 1.0).log()


def _pairs(
    z: Tensor, labels: Tensor, anchors: slice | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, for A anchors and N items, four tensors.

    The first three are (A, N): cosines, whether the item is a positive, whether the item is the
    anchor itself. The last is (A,): the weight of one positive pair of the anchor, 0 if it has
    no positive.
    """
    if z.ndim != 2 or labels.shape != z.shape[:1]:
        raise ValueError(
            f"z must be (N, D) and labels (N,), not {(*z.shape,)} and {(*labels.shape,)}"
        )
    own = slice(None) if anchors is None else anchors
    z = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)))
    index = torch.arange(len(z), device=z.device)
    itself = index[own, None] == index
    positive = (labels[own, None] == labels) & ~itself
    # For items of all processes.
    positives = ((labels[:, None] == labels).sum(dim=1) - 1).to(z.dtype)
    having = (positives > 0).sum()
    if reading_is_free(labels) and not having:
        raise ValueError("no two items have the same label: there are no positives")
    processes = len(z) / len(itself)
    share = torch.where(positives > 0, processes / (having * positives), 0.0)[own]
    return z[own] @ z.T, positive, itself, share
