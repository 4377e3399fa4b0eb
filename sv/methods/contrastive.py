"""What the contrastive frameworks share."""

from dataclasses import dataclass, field

from torch import Tensor

from sv.config import option
from sv.losses import AdaptiveMargin
from sv.losses.margins import chance_level
from sv.methods.checks import check_sizes
from sv.methods.margin import MarginOptions


@dataclass
class ContrastiveConfig(MarginOptions):
    """Temperature, margin and projector of SimCLR and MoCo (arXiv 2404.14913)."""

    name: str = field(default="", metadata={"help": "the method"})
    temperature: float = option(
        0.03, "τ: small looks at the hardest negatives only, large treats all alike"
    )
    projector: list[int] = option(
        [], "sizes of layers between embedding and loss; none is best for speakers, as published"
    )
    projector_norm: bool = option(
        True, "batch norm between the layers of the projector; without, as published in 2023"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")
        check_sizes("projector", self.projector)


def chance(
    config: ContrastiveConfig,
    margin: AdaptiveMargin,
    anchors: Tensor,
    negatives: int,
    progress: float,
) -> Tensor | float:
    """Return the loss, penalty of the margin included, if all embeddings were alike.

    anchors: (N, D) before normalisation; some margins depend on their lengths.
    progress: the share of the training that is done.
    """
    anchors = anchors.detach()
    norm = float(anchors.float().norm(dim=1).mean()) if margin.uses_norms else 1.0
    level = chance_level(
        negatives, temperature=config.temperature, norm=norm, **margin.arguments(progress)
    )
    penalty = margin.penalty(anchors)
    return level + (penalty.detach() if isinstance(penalty, Tensor) else penalty)
