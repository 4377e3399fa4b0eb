"""BYOL: a network predicts the output of its slow copy for the other crop; no negatives."""

from dataclasses import dataclass

from torch import Tensor, nn

from sv.config import option
from sv.losses import byol_loss
from sv.methods.base import Facts
from sv.methods.momentum import RisingMomentum, follower
from sv.methods.predictive import Predictive, PredictiveConfig


@dataclass
class BYOLConfig(PredictiveConfig):
    """Grill et al. 2020 (arXiv 2006.07733), in its sizes.

    The reference toolkit for speakers has the projector [2048, 2048, 512], and 13.99 % EER on
    VoxCeleb1-O with Fast ResNet-34.
    """

    name: str = option("byol", "the method")
    momentum: float = option(
        0.996,
        "momentum of the target at the start; it ends at 1. If it is too low, the "
        "target moves with the network and both collapse. If it is too high, the "
        "target hardly learns, so a short training needs 0.99",
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")


class BYOL(RisingMomentum, Predictive):
    """Encoder, projector and predictor. Slow copies of the first two compute the targets."""

    follows = "target"

    def __init__(self, encoder: nn.Module, config: BYOLConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.target_encoder = follower(encoder)
        self.target_projector = follower(self.projector)

    def targets(self, crops: Tensor, projections: Tensor) -> Tensor:
        """Return the outputs of the slow copies."""
        return self.target_projector(self.target_encoder(crops))

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the squared distance of unit vectors."""
        return byol_loss(prediction, target)

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target's networks and those that they follow; the predictor has no copy."""
        return [(self.target_encoder, self.encoder), (self.target_projector, self.projector)]
