"""InfoNCE and VICReg together, each on embeddings or on projections: label-efficient training."""

from typing import NamedTuple

from torch import Tensor

from sv.losses.contrastive import nt_xent
from sv.losses.decorrelation import vicreg_loss


class Composition(NamedTuple):
    """Where the two losses act: 0 on embeddings, 1 on projections; and the weight of VICReg."""

    contrast: int
    spread: int
    weight: float


COMPOSITIONS = {
    1: Composition(contrast=1, spread=0, weight=1.0),
    2: Composition(contrast=0, spread=1, weight=1.0),
    3: Composition(contrast=0, spread=0, weight=0.1),
    4: Composition(contrast=1, spread=1, weight=0.1),
}
"""As numbered in the authors' configurations."""


def label_efficient_loss(
    embeddings: tuple[Tensor, Tensor],
    projections: tuple[Tensor, Tensor],
    *,
    composition: int = 2,
    temperature: float = 0.07,
    inv: float = 1.0,
    var: float = 1.0,
    cov: float = 0.04,
) -> Tensor:
    """Return InfoNCE(a, a') + w · VICReg(b, b'), a and b embeddings or projections.

    InfoNCE is `nt_xent` of view 1 against view 2 (asymmetric, no margin), VICReg is `vicreg_loss`.
    `COMPOSITIONS` says what a, b and w are.

    Source: Lepage & Dehak, "Label-Efficient Self-Supervised Speaker Verification With Information
    Maximization and Contrastive Learning", Interspeech 2022 (arXiv 2207.05506), section 3.

    Parameters
    ----------
    embeddings, projections: of both views, (N, E) and (N, D) each, not normalised.
    composition: 2 is the published best.
    temperature: τ of InfoNCE; 0.07 in the code of the paper's time, 0.2 a year later.
    inv, var, cov: weights within VICReg.
    """
    if composition not in COMPOSITIONS:
        raise ValueError(f"composition is {composition}: choose one of 1, 2, 3, 4")
    spaces, chosen = (embeddings, projections), COMPOSITIONS[composition]
    contrast = nt_xent(*spaces[chosen.contrast], temperature=temperature, symmetric=False)
    spread = vicreg_loss(*spaces[chosen.spread], inv=inv, var=var, cov=cov)
    return contrast + chosen.weight * spread
