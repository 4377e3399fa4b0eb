"""LIM: pairs of one utterance have more mutual information than pairs of two; three estimates."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.inputs import at_least_float32, check_pairs

BOUNDS = ("nce", "bce", "mine")
"""Kinds of the loss."""


def lim_loss(z1: Tensor, z2: Tensor, negatives: Tensor, *, kind: str = "nce") -> Tensor:
    """Return the loss that separates pairs of one utterance from pairs of two.

    With p_i = cos(z1_i, z2_i), n_i = cos(z1_i, z2_negatives(i)), σ the logistic function:

    - ``bce``: −mean log σ(p_i) − mean log(1 − σ(n_i));
    - ``mine``: −mean p_i + log mean e^{n_i}, the bound of Donsker and Varadhan;
    - ``nce``: mean_i log[ (e^{p_i} + Σ_j e^{n_j}) / e^{p_i} ], with the negatives of all anchors.

    Source: Ravanelli & Bengio, "Learning Speaker Representations with Mutual Information",
    Interspeech 2019 (arXiv 1812.00271), eq. 3 to 6. They learn a discriminator; the cosine in its
    place, and the sum over j in ``nce``, are those of the reference toolkit for speakers.

    Parameters
    ----------
    z1, z2: (N, D), row i of both from one utterance; any length. With several processes, pass the
        joined embeddings.
    negatives: (N,) for each anchor the row of z2 that it should be unlike.
    """
    check_pairs(z1, z2)
    if kind not in BOUNDS:
        raise ValueError(f"kind is {kind!r}: choose one of {', '.join(BOUNDS)}")
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = at_least_float32(z1, z2)
        positive = F.cosine_similarity(z1, z2, dim=1)
        negative = F.cosine_similarity(z1, z2[negatives], dim=1)
        if kind == "bce":
            return F.softplus(-positive).mean() + F.softplus(negative).mean()
        total = negative.logsumexp(dim=0)
        if kind == "mine":
            return total - math.log(len(z1)) - positive.mean()
        return (torch.logaddexp(positive, total) - positive).mean()
