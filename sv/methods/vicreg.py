"""VICReg: two crops of an utterance agree; variance and covariance keep embeddings apart."""

from dataclasses import dataclass

from torch import Tensor

from sv.config import option
from sv.losses import vicreg_loss
from sv.methods.base import Stats
from sv.methods.figures import pair_cosines
from sv.methods.siamese import Siamese, SiameseConfig


@dataclass
class VICRegConfig(SiameseConfig):
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

    def __post_init__(self):
        super().__post_init__()
        if min(self.invariance, self.variance, self.covariance) < 0:
            raise ValueError("invariance, variance and covariance must not be negative")

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the three terms, as the losses name them."""
        return {"inv": self.invariance, "var": self.variance, "cov": self.covariance}


class VICReg(Siamese):
    """The encoder, a wide projector, and the three terms on its outputs."""

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the three terms."""
        return vicreg_loss(anchor, positive, **self.config.weights)

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return cosines, and the standard deviation that ought to be 1."""
        std = anchor.float().std(dim=0).mean()
        return {**pair_cosines(anchor, positive), "std": std}
