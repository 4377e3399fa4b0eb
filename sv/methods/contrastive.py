"""The common part of the contrastive methods."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sv.config import option
from sv.losses import AdaptiveMargin
from sv.losses.margins import chance_level, check_margin, usual_margin
from sv.methods.base import MethodConfig, check_sizes

# ---------------------------------------------------------------- the options of a margin


@dataclass
class MarginOptions(MethodConfig):
    """The settings of a margin; formulas and sources are in `sv.losses.margins`."""

    margin: float | None = option(
        None,
        "number that is subtracted from a positive's cosine (or angle). What "
        "matters is margin / τ: 1 to 6 is useful; above that the loss never falls. "
        "null: 0.1 (sphereface: 1.1, because its margin multiplies the angle)",
    )
    margin_type: Literal[
        "none", "am", "aam", "sphereface", "curricularface", "magface", "adaface"
    ] = option(
        "am",
        "none (NT-Xent), am (cos θ − m), aam (cos(θ + m)), sphereface (cos mθ), curricularface "
        "(aam, and hard negatives count more as training goes on), magface and adaface (the margin "
        "grows with the embedding's length)",
    )
    margin_warmup: float = option(
        0.0,
        "share of the training during which the margin rises along a cosine, 0.5 in "
        "the papers' toolkit. 0: the whole margin from the first step, which may "
        "keep the loss at chance",
    )
    margin_learnable: bool = option(False, "learn the margin, starting at the value of margin")
    margin_reward: float = option(
        1.0,
        "with margin_learnable: how much a larger margin lowers the loss. If it is "
        "too low, the margin shrinks to nothing; if it is too high, the margin "
        "grows until nothing is learned",
    )
    margin_regulariser: float = option(
        35.0,
        "with magface: weight of the term that makes embeddings long; if it is too "
        "low, all are short",
    )
    margin_norms: list[float] = option(
        [10.0, 110.0],
        "with magface: lengths of embeddings that get the smallest and the largest margin",
    )

    def __post_init__(self):
        if self.margin is None:
            self.margin = usual_margin(self.margin_type)
        check_margin(self.margin_type, self.margin)
        if not 0.0 <= self.margin_warmup <= 1.0:
            raise ValueError(f"margin_warmup is a share from 0 to 1, not {self.margin_warmup}")
        if self.margin_type == "none" and (self.margin_learnable or self.margin_warmup > 0):
            raise ValueError("margin_type is none: there is no margin to learn or to warm up")
        norms = self.margin_norms
        if len(norms) != 2 or not 0 < norms[0] < norms[1]:
            raise ValueError(f"margin_norms must be two lengths, the smaller first, not {norms}")

    def build_margin(self) -> AdaptiveMargin:
        """Return the module that gives the losses their margin arguments."""
        return AdaptiveMargin(
            self.margin_type,
            self.margin,
            warmup=self.margin_warmup,
            learnable=self.margin_learnable,
            reward=self.margin_reward,
            regulariser=self.margin_regulariser,
            norm_range=tuple(self.margin_norms),
        )


@dataclass
class ContrastiveConfig(MarginOptions):
    """Temperature, margin and projector of SimCLR and MoCo (arXiv 2404.14913)."""

    name: str = option("", "the method")
    temperature: float = option(
        0.03, "τ. A small value weighs only the hardest negatives, a large value weighs all alike"
    )
    projector: list[int] = option(
        [],
        "sizes of layers between embedding and loss; []: no projector, which is "
        "best for speakers, as published",
    )
    projector_norm: bool = option(
        True, "batch norm between the layers of the projector; the paper of 2023 has none"
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
) -> Tensor:
    """Return the loss, penalty of the margin included, of embeddings that are all equal.

    anchors: (N, D) before normalisation; some margins depend on their lengths.
    progress: the share of the training that is done.
    """
    anchors = anchors.detach()
    norm = anchors.float().norm(dim=1).mean() if margin.uses_norms else 1.0
    level = chance_level(
        negatives, temperature=config.temperature, norm=norm, **margin.arguments(progress)
    )
    penalty = margin.penalty(anchors)
    return level + (penalty.detach() if isinstance(penalty, Tensor) else penalty)
