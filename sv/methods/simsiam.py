"""SimSiam: a network predicts its own output for the other crop; no negatives, no slow copy."""

from dataclasses import dataclass

from torch import Tensor, nn

from sv.config import option
from sv.losses import simsiam_loss
from sv.methods.base import Facts
from sv.methods.predictive import Predictive, PredictiveConfig


@dataclass
class SimSiamConfig(PredictiveConfig):
    """Chen & He 2021 (arXiv 2011.10566), in the sizes of the reference toolkit for speakers.

    There the learning rate of the predictor stays constant, as the paper recommends. Here it
    follows the schedule of all weights.
    """

    name: str = option("simsiam", "the method")
    projector: list[int] = option(
        [2048, 2048, 512],
        "sizes of layers between embedding and target; the last one also has a batch norm, without "
        "which embeddings collapse",
    )
    predictor: list[int] = option(
        [512],
        "sizes of hidden layers between projection and prediction. A bottleneck, a quarter of the "
        "projection or so, works best in the paper; they may not be left out",
    )


class SimSiam(Predictive):
    """Encoder, projector and predictor. Targets are projections, through which no gradient goes."""

    def __init__(self, encoder: nn.Module, config: SimSiamConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector.append(nn.BatchNorm1d(self.head_dim, affine=False))

    def targets(self, crops: Tensor, projections: Tensor) -> Tensor:
        """Return the projections themselves."""
        return projections

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return half of the negative cosine: the loss of a step is the mean of both directions."""
        return simsiam_loss(prediction, target) / 2
