"""VIbCReg: VICReg on whitened outputs, with correlations in the place of covariances."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.losses import iterative_whitening, vibcreg_loss
from sv.methods.base import Facts
from sv.methods.vicreg import VICReg, VICRegConfig


@dataclass
class VIbCRegConfig(VICRegConfig):
    """Lee & Aune 2021 (arXiv 2109.00783), as in the reference toolkit; no figure is published."""

    name: str = option("vibcreg", "the method")
    covariance: float = option(
        8.0,
        "weight of the squared correlations, a mean over all pairs of dimensions. If it is too "
        "low, the dimensions repeat each other",
    )
    projector: list[int] = option(
        [2048, 2048, 2048], "sizes of layers between embedding and loss; narrow layers are worse"
    )
    groups: int = option(
        64,
        "groups of the last layer's dimensions, each of which is whitened by itself. With fewer "
        "groups more is whitened, and a larger batch is needed; the last size must be a multiple",
    )
    iterations: int = option(5, "of the whitening. With more, weak directions grow, noise too")

    def __post_init__(self):
        super().__post_init__()
        if self.groups < 1 or self.iterations < 1:
            raise ValueError("groups and iterations must be at least 1")
        if not self.projector or self.projector[-1] % self.groups:
            raise ValueError(
                f"the last size of projector {self.projector} must be a multiple of groups, "
                f"{self.groups}"
            )


class VIbCReg(VICReg):
    """VICReg's networks; the outputs of the joined batch are whitened, scaled and shifted.

    SSPS takes positives before the whitening, which then sees the batch with which they are used.
    """

    def __init__(self, encoder: nn.Module, config: VIbCRegConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.weight = nn.Parameter(torch.ones(self.head_dim))
        self.bias = nn.Parameter(torch.zeros(self.head_dim))

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the three terms of the whitened outputs; each view is whitened by itself."""
        c = self.config
        how = {"groups": c.groups, "iterations": c.iterations}
        z1, z2 = (
            iterative_whitening(z, **how) * self.weight + self.bias for z in (anchor, positive)
        )
        return vibcreg_loss(z1, z2, **c.weights)
