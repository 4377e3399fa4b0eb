"""The common part of methods that compare two crops of each utterance over the joined batch."""

from dataclasses import dataclass

from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather
from sv.encoders.heads import mlp
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views, check_sizes
from sv.methods.figures import pair_cosines


@dataclass
class SiameseConfig(MethodConfig):
    """The projector, in the sizes of the reference toolkit for speakers (arXiv 2505.14561)."""

    name: str = option("", "the method")
    projector: list[int] = option(
        [2048, 2048, 512], "sizes of layers between embedding and loss; narrow layers are worse"
    )

    def __post_init__(self):
        check_sizes("projector", self.projector)


class Siamese(Method):
    """An encoder and a projector, which see both crops alike. A subclass gives the ``loss``."""

    def __init__(self, encoder: nn.Module, config: SiameseConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector = mlp([encoder.embedding_dim, *config.projector])

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the loss of the outputs (N, D) of both crops of the joined batch."""
        raise NotImplementedError

    def outputs(self, embeddings: Tensor) -> Tensor:
        """Return what the loss compares, (batch, *positive_shape): by default the projections."""
        return self.projector(embeddings)

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return figures to log of the own outputs, without gradient; ``items`` are of all."""
        return pair_cosines(anchor, positive)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        embeddings = self.encoder(views.crops["views"].flatten(0, 1))
        anchor, positive = self.outputs(embeddings).chunk(2)
        positive = self.substitute(positive, views)
        joined = gather(anchor)
        loss = self.loss(joined, gather(positive))
        figures = self.figures(anchor.detach(), positive.detach(), len(joined))
        return loss, {**figures, "embeddings": embeddings.detach()}
