"""Barlow Twins: each dimension agrees with itself in the other crop, and with no other one."""

from dataclasses import dataclass

from torch import Tensor

from sv.config import option
from sv.losses import barlow_twins_loss
from sv.methods.siamese import Siamese, SiameseConfig


@dataclass
class BarlowTwinsConfig(SiameseConfig):
    """Zbontar et al. 2021 (arXiv 2103.03230), as run for speakers in the reference toolkit."""

    name: str = option("barlow_twins", "the method")
    redundancy: float = option(
        0.005,
        "λ, weight of the correlations of different dimensions. If it is too low, dimensions "
        "repeat each other; if it is too high, crops of one utterance need not agree",
    )
    scale: float = option(
        0.025,
        "factor of the whole loss, from the reference toolkit and not from the paper. It matters "
        "to sgd and to optim.clip_norm, and hardly to adam",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.redundancy < 0 or self.scale <= 0:
            raise ValueError("redundancy must not be negative, scale must be above 0")


class BarlowTwins(Siamese):
    """The encoder, a wide projector, and the cross-correlations of its outputs."""

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the distance of the cross-correlations from the identity."""
        c = self.config
        return barlow_twins_loss(anchor, positive, redundancy=c.redundancy, scale=c.scale)
