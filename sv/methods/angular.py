"""Angular contrastive loss: SimCLR on projections, and angles of pairs of embeddings."""

from dataclasses import dataclass

from torch import Tensor

from sv.config import option
from sv.losses import angular_contrastive_loss
from sv.methods.both_spaces import BothSpaces
from sv.methods.siamese import SiameseConfig


@dataclass
class AngularConfig(SiameseConfig):
    """Wang et al. 2022 (arXiv 2211.05442). They tried other sounds than speakers.

    The loss is that of their code. Projector and α for speakers are a reconstruction.
    """

    name: str = option("angular", "the method")
    projector: list[int] = option(
        [512, 128], "sizes of layers between embedding and NT-Xent; angles are of the embeddings"
    )
    alpha: float = option(
        0.3, "α, weight of NT-Xent; the angles have 1 − α. 1: SimCLR; 0: angles alone"
    )
    temperature: float = option(
        0.2, "τ. A small value weighs only the hardest negatives, a large value weighs all alike"
    )
    margin: float = option(
        0.5,
        "radians. Negatives with a larger angle are left alone: too low, and utterances come near "
        "to each other; above 1.5 the angles work against NT-Xent",
    )
    divisor: float = option(
        25.0,
        "of the sum over all pairs. It does not grow with the batch: raise it in proportion to the "
        "batch if the angles should weigh the same",
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be from 0 to 1, not {self.alpha}")
        if min(self.temperature, self.margin, self.divisor) <= 0:
            raise ValueError("temperature, margin and divisor must be above 0")


class Angular(BothSpaces):
    """The encoder, a projector, and a loss on each of them."""

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the weighted sum."""
        c = self.config
        embeddings, projections = self.pairs(anchor, positive)
        how = {"temperature": c.temperature, "margin": c.margin, "divisor": c.divisor}
        return angular_contrastive_loss(projections, embeddings, alpha=c.alpha, **how)
