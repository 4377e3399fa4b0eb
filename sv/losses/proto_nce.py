"""ProtoNCE: an embedding is drawn to the prototype of its cluster, away from all others."""

import torch
import torch.nn.functional as F
from torch import Tensor


def proto_nce(query: Tensor, centroids: Tensor, density: Tensor, assignments: Tensor) -> Tensor:
    """Return the cross-entropy of each query's own prototype among all of them, mean over queries.

    L = −(1/N) Σ_i log[ e^{q_i·c_{s(i)} / φ_{s(i)}} / Σ_c e^{q_i·c / φ_c} ], s(i) the cluster of i.

    A query without a cluster counts 0. φ is a temperature of each prototype: it is small for a
    dense cluster, which then attracts less strongly than a loose one.

    Source: Li et al., "Prototypical Contrastive Learning", ICLR 2021 (arXiv 2005.04966), eq. 11.
    All K centroids are the denominator, as in the paper. The authors' code samples negatives, so
    that two items of one cluster repel each other.

    Parameters
    ----------
    query: (N, D) of any length; L2-normalised here.
    centroids: (K, D) of unit length, without gradient.
    density: (K,) φ > 0, see `concentration`.
    assignments: (N,) cluster of each query, −1 for none.
    """
    with torch.autocast(query.device.type, enabled=False):
        query = F.normalize(query.to(torch.promote_types(query.dtype, torch.float32)))
        logits = query @ centroids.detach().to(query.dtype).T / density.detach().to(query.dtype)
        total = F.cross_entropy(logits, assignments, ignore_index=-1, reduction="sum")
        return total / len(query)


def proto_chance(density: Tensor, assignments: Tensor) -> Tensor:
    """Return `proto_nce` of queries and prototypes that are all alike."""
    logits = (1.0 / density).expand(len(assignments), -1)
    return F.cross_entropy(logits, assignments, ignore_index=-1, reduction="sum") / len(logits)


def concentration(
    features: Tensor, centroids: Tensor, assignments: Tensor, temperature: float
) -> Tensor:
    """Return the density φ (K,) of clusters: small if many members are near the centroid.

    φ_c = mean_{v in c} ‖v − c‖ / log(n_c + 10) for n_c > 1 members. Clusters of 0 or 1 take the
    largest φ. All are clipped to their 10th and 90th percentiles, then scaled to the mean τ.

    Source: Li et al., ICLR 2021 (arXiv 2005.04966), eq. 12, with α = 10, and the authors' code for
    small clusters, the clipping and the scale.

    Parameters
    ----------
    features: (N, D). centroids: (K, D), the means of the members, not normalised.
    assignments: (N,) cluster of each row; rows with −1 count nowhere.
    temperature: τ > 0, mean of what is returned.
    """
    member = assignments >= 0
    features, own = features[member], assignments[member]
    distance = torch.cat(
        [
            (rows.to(centroids.dtype) - centroids[which]).norm(dim=1)
            for rows, which in zip(features.split(65536), own.split(65536), strict=True)
        ]
    )
    count = torch.bincount(own, minlength=len(centroids))
    total = torch.zeros_like(centroids[:, 0]).index_add_(0, own, distance)
    density = total / count.clamp_min(1) / (count + 10.0).log()
    density = torch.where(count > 1, density, density[count > 1].max())
    low, high = density.quantile(0.1), density.quantile(0.9)
    density = density.clamp(low, high)
    mean = density.mean()
    return temperature * torch.where(mean > 0, density / mean, torch.ones_like(density))
