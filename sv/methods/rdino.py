"""RDINO: DINO, with a term that spreads and decorrelates a wide layer of the student's head."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sv.config import option
from sv.distributed import gather
from sv.losses import rdino_regulariser
from sv.methods.base import Moment
from sv.methods.dino import DINO, DINOConfig


@dataclass
class RDINOConfig(DINOConfig):
    """Chen et al. 2023 (arXiv 2211.04168).

    Weights and formulas are those of the authors' code. That the regularised layer is the last
    hidden one, before its batch norm, and the layers before it, are a reconstruction.
    """

    name: str = option("rdino", "the method")
    hidden: list[int] = option(
        [2048, 2048, 8192],
        "sizes of the head between embedding and bottleneck. The last one is the layer that is "
        "regularised; it should be wide, so that there is something to decorrelate",
    )
    std_weight: float = option(
        10.0, "weight of a spread of at least 1; if it is too low, outputs may become one point"
    )
    cov_weight: float = option(
        1.0, "weight of the squared covariances; if it is too low, dimensions repeat each other"
    )
    weight: float = option(
        0.2, "λ, weight of both terms. If it is too high, the student follows the teacher less"
    )
    weight_start: float = option(0.05, "λ in the first epoch")
    weight_epochs: int = option(10, "number of epochs in which λ rises in even steps to its value")

    def __post_init__(self):
        super().__post_init__()
        weights = (self.std_weight, self.cov_weight, self.weight, self.weight_start)
        if min(weights) < 0:
            raise ValueError("std_weight, cov_weight, weight and weight_start: none below 0")
        if not self.hidden:
            raise ValueError("hidden needs a layer: the last one is regularised")


class RDINO(DINO):
    """DINO, with another loss for the student.

    The published term also counts the teacher's rows, through which no gradient goes. They are left
    out here, so the logged loss is smaller by them.
    """

    def student_outputs(self, embeddings: list[Tensor], moment: Moment) -> tuple[Tensor, Tensor]:
        """Return logits (crops · batch, outputs) and the weighted regulariser."""
        c = self.config
        outputs, hidden = self.head.with_hidden(embeddings[0])
        logits = torch.cat([outputs, *(self.head(part) for part in embeddings[1:])])
        rows = hidden.float().unflatten(0, (c.global_crops, -1)).mean(dim=0)
        how = {"outputs": c.outputs, "std": c.std_weight, "cov": c.cov_weight}
        return logits, self.regulariser_weight(moment) * rdino_regulariser(
            gather(rows)[None], **how
        )

    def regulariser_weight(self, moment: Moment) -> float:
        """Return λ: from its start to its value in even steps, one an epoch."""
        c = self.config
        share = min(1.0, int(moment.epoch) / max(1, c.weight_epochs - 1))
        return c.weight_start + share * (c.weight - c.weight_start)
