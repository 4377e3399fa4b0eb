"""BYOL: a network predicts the output of its slow copy for the other crop; no negatives."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.heads import mlp
from sv.losses import byol_loss
from sv.methods.base import Facts, Method, MethodConfig, Moment, Stats, Views, check_sizes
from sv.methods.figures import pair_cosines
from sv.methods.momentum import follower, rising


@dataclass
class BYOLConfig(MethodConfig):
    """Grill et al. 2020 (arXiv 2006.07733), sizes as published; there is no speaker recipe."""

    name: str = option("byol", "the method")
    projector: list[int] = option(
        [4096, 256],
        "sizes of layers between embedding and target; batch norm between them is necessary",
    )
    predictor: list[int] = option(
        [4096], "sizes of hidden layers between projection and prediction; they may not be left out"
    )
    momentum: float = option(
        0.996,
        "momentum of the target at the start; it ends at 1. If it is too low, the "
        "target moves with the network and both collapse. If it is too high, the "
        "target hardly learns, so a short training needs 0.99",
    )

    def __post_init__(self):
        check_sizes("projector", self.projector)
        check_sizes("predictor", self.predictor)
        if not self.predictor:
            raise ValueError("predictor needs a hidden layer: without it all embeddings collapse")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")


class BYOL(Method):
    """Encoder, projector and predictor. Slow copies of the first two compute the targets."""

    def __init__(self, encoder: nn.Module, config: BYOLConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector = mlp([encoder.embedding_dim, *config.projector])
        self.predictor = mlp([self.head_dim, *config.predictor, self.head_dim])
        self.target_encoder = follower(encoder)
        self.target_projector = follower(self.projector)

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of the targets of both crops."""
        return (2, self.head_dim)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        crops = views.crops["views"].flatten(0, 1)
        with torch.no_grad():
            targets = self.target_projector(self.target_encoder(crops))
        pairs = self.substitute(targets.unflatten(0, (2, -1)).transpose(0, 1), views)
        first_target, second_target = pairs.unbind(1)
        embeddings = self.encoder(crops)
        first, second = self.predictor(self.projector(embeddings)).chunk(2)
        loss = byol_loss(first, second_target) + byol_loss(second, first_target)
        return loss, {**pair_cosines(first, second_target), "embeddings": embeddings.detach()}

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target's networks and those that they follow; the predictor has no copy."""
        return [(self.target_encoder, self.encoder), (self.target_projector, self.projector)]

    def momentum(self, moment: Moment) -> float:
        """Return the target's momentum: from ``momentum`` to 1 by half a cosine."""
        return rising(self.config.momentum, moment.share)

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return the target's momentum."""
        return {"the target's momentum": self.momentum(moment)}
