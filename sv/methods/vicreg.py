"""VICReg: two crops of an utterance agree; variance and covariance keep embeddings apart."""

from dataclasses import dataclass

from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather
from sv.encoders.heads import mlp
from sv.losses import vicreg_loss
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views, check_sizes
from sv.methods.figures import pair_cosines


@dataclass
class VICRegConfig(MethodConfig):
    """Bardes et al. 2022 (arXiv 2105.04906), weights and projector as in arXiv 2505.14561."""

    name: str = option("vicreg", "the method")
    invariance: float = option(
        1.0,
        "weight of the squared distance between the two crops. If it is too high, "
        "all embeddings become one point",
    )
    variance: float = option(
        1.0,
        "weight of the term that wants a spread of at least 1 in every dimension. If "
        "it is too low, all embeddings become one point",
    )
    covariance: float = option(
        0.04,
        "weight of the squared covariances. If it is too low, the dimensions repeat each other",
    )
    projector: list[int] = option(
        [2048, 2048, 512], "sizes of layers between embedding and loss; narrower layers are worse"
    )

    def __post_init__(self):
        check_sizes("projector", self.projector)
        if min(self.invariance, self.variance, self.covariance) < 0:
            raise ValueError("invariance, variance and covariance must not be negative")


class VICReg(Method):
    """The encoder, a wide projector, and the three terms on its outputs."""

    def __init__(self, encoder: nn.Module, config: VICRegConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector = mlp([encoder.embedding_dim, *config.projector])

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        embeddings = self.encoder(views.crops["views"].flatten(0, 1))
        anchor, positive = self.projector(embeddings).chunk(2)
        positive = self.substitute(positive, views)
        loss = vicreg_loss(
            gather(anchor),
            gather(positive),
            inv=self.config.invariance,
            var=self.config.variance,
            cov=self.config.covariance,
        )
        return loss, {
            **pair_cosines(anchor, positive),
            "std": anchor.detach().float().std(dim=0).mean(),
            "embeddings": embeddings.detach(),
        }
