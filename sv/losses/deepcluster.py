"""DeepCluster: the prototype of an utterance's cluster is predicted from each of its crops."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.inputs import at_least_float32


def deepcluster_loss(
    scores: Sequence[Tensor], clusters: Sequence[Tensor], *, temperature: float = 0.1
) -> Tensor:
    """Return the cross-entropy of the own prototype among all, mean over crops, then over heads.

    L = (1/H) Σ_h (1/(V·n_h)) Σ_v Σ_{i: s_h(i) ≥ 0} −log softmax_k(P_hvik / τ) at k = s_h(i)

    n_h is the number of items with a cluster. A head without any counts 0.

    Source: Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features", ECCV 2018
    (arXiv 1807.05520), eq. 2, with the prototypes, heads and τ of DeepCluster-v2 (Caron et al.,
    NeurIPS 2020, arXiv 2006.09882, appendix D).

    Parameters
    ----------
    scores: for each head (V, N, K_h), products of V crops of N items with its prototypes.
    clusters: for each head (N,), the cluster of each item; −1 for none.
    temperature: τ; 0.1. If it is too high, the loss stays at ln K.
    """
    if len(scores) != len(clusters) or not len(scores):
        raise ValueError(f"{len(scores)} heads have scores, and {len(clusters)} have clusters")
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    total = torch.zeros((), device=scores[0].device)
    for products, own in zip(scores, clusters, strict=True):
        with torch.autocast(products.device.type, enabled=False):
            logits = at_least_float32(products)[0].flatten(0, 1) / temperature
            targets = own.repeat(len(products))
            lost = F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
            total = total + lost / (targets >= 0).sum().clamp_min(1)
    return total / len(scores)
