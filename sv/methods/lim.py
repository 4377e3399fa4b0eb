"""LIM: two crops of an utterance are told from crops of two utterances; one negative an anchor."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.losses import lim_loss
from sv.methods.base import Facts, Stats
from sv.methods.draws import Draws
from sv.methods.siamese import Siamese, SiameseConfig


@dataclass
class LIMConfig(SiameseConfig):
    """Ravanelli & Bengio 2019 (arXiv 1812.00271), as run in the reference toolkit for speakers."""

    name: str = option("lim", "the method")
    bound: Literal["nce", "bce", "mine"] = option(
        "nce",
        "the estimate of mutual information. nce: the positive against the negatives of the whole "
        "batch, the published best; bce: each pair by itself; mine: the difference of two means",
    )


class LIM(Siamese):
    """The encoder, a projector, and cosines of pairs. The negatives are the batch, shifted."""

    def __init__(self, encoder: nn.Module, config: LIMConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.draws = Draws()

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the loss; a random shift says who is whose negative."""
        shift = self.draws.number(1, max(2, len(anchor)))
        negatives = torch.arange(len(anchor), device=anchor.device).roll(shift)
        return lim_loss(anchor, positive, negatives, kind=self.config.bound)

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return cosines, and the loss if all outputs were alike."""
        alike = {"nce": math.log(1 + items), "bce": math.log(2 + 2 * math.cosh(1)), "mine": 0.0}
        return {**super().figures(anchor, positive, items), "chance": alike[self.config.bound]}
