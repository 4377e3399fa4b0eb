"""The common part of BYOL and SimSiam: a predictor guesses the output for the other crop."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.heads import mlp
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views, check_sizes
from sv.methods.figures import pair_cosines, unit_spread


@dataclass
class PredictiveConfig(MethodConfig):
    """Projector and predictor."""

    name: str = option("", "the method")
    projector: list[int] = option(
        [4096, 256],
        "sizes of layers between embedding and target; batch norm between them is necessary",
    )
    predictor: list[int] = option(
        [4096], "sizes of hidden layers between projection and prediction; they may not be left out"
    )

    def __post_init__(self):
        check_sizes("projector", self.projector)
        check_sizes("predictor", self.predictor)
        if not self.predictor:
            raise ValueError("predictor needs a hidden layer: without it all embeddings collapse")


class Predictive(Method):
    """Encoder, projector and predictor. A subclass says what the targets and the loss are."""

    def __init__(self, encoder: nn.Module, config: PredictiveConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector = mlp([encoder.embedding_dim, *config.projector])
        self.predictor = mlp([self.head_dim, *config.predictor, self.head_dim])

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """The targets of both crops."""
        return (2, self.head_dim)

    def targets(self, crops: Tensor, projections: Tensor) -> Tensor:
        """Return the targets (2·batch, D) of the crops, whose ``projections`` are (2·batch, D)."""
        raise NotImplementedError

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one direction; that of a step is the sum of both."""
        raise NotImplementedError

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        crops = views.crops["views"].flatten(0, 1)
        embeddings = self.encoder(crops)
        projections = self.projector(embeddings)
        with torch.no_grad():
            targets = self.targets(crops, projections).detach()
        pairs = self.substitute(targets.unflatten(0, (2, -1)).transpose(0, 1), views)
        first_target, second_target = pairs.unbind(1)
        first, second = self.predictor(projections).chunk(2)
        loss = self.loss(first, second_target) + self.loss(second, first_target)
        return loss, {
            **pair_cosines(first, second_target),
            "std": unit_spread(projections),
            "embeddings": embeddings.detach(),
        }
