"""A margin that changes in training: by running statistics, by a schedule, or by learning."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses.margins import MarginState, check_margin, get_margin, magface_regulariser

EMA = 0.01
"""Weight of a batch in the running statistics: CurricularFace and AdaFace both use 0.01."""


class AdaptiveMargin(nn.Module):
    """The ``margin…`` arguments of `nt_xent` and `moco_nce`, and a penalty to add to the loss.

    It is a module, so running statistics and a learned margin are in the checkpoint, and the losses
    stay pure functions. A training that resumes continues with the same values.

    Example::

        self.margin = AdaptiveMargin("aam", 0.2, warmup=0.5)
        ...
        loss = nt_xent(z1, z2, temperature=0.03, **self.margin(z1, z2, progress))
        loss = loss + self.margin.penalty(z1)

    Parameters
    ----------
    margin_type, margin: a row of `sv.losses.margins.MARGINS` and its m.
    warmup: the share of the training in which the margin rises from nothing to ``margin`` along
        half a cosine (Lepage & Dehak's toolkit: 0.5). 0: the whole margin from the first step.
    learnable: m is a parameter that starts at ``margin``. The loss alone would drive the margin to
        nothing, so the penalty subtracts ``reward`` · m (Liu et al., "AdaptiveFace", CVPR 2019,
        eq. 8).
    reward: see ``learnable``.
    regulariser: weight of MagFace's term in the penalty; its authors use 35.
    norm_range: MagFace's l_a and u_a.
    """

    def __init__(
        self,
        margin_type: str,
        margin: float,
        *,
        warmup: float = 0.0,
        learnable: bool = False,
        reward: float = 1.0,
        regulariser: float = 35.0,
        norm_range: tuple[float, float] = (10.0, 110.0),
    ):
        super().__init__()
        check_margin(margin_type, margin)
        self.margin_type, self.kind = margin_type, get_margin(margin_type)
        self.warmup, self.learnable, self.reward = warmup, learnable, reward
        self.regulariser, self.norm_range = regulariser, norm_range
        self.uses_norms = margin_type in ("magface", "adaface")
        if learnable:
            self.margin = nn.Parameter(torch.tensor(float(margin)))
        else:
            self.margin = float(margin)
        if self.kind.hard_negatives:
            self.register_buffer("hardness", torch.zeros(()))
        if margin_type == "adaface":  # the authors' start
            self.register_buffer("norm_mean", torch.tensor(20.0))
            self.register_buffer("norm_std", torch.tensor(100.0))

    def forward(self, z1: Tensor, z2: Tensor, progress: float = 1.0) -> dict[str, Any]:
        """Update the statistics (while training) and return keyword arguments for the loss.

        z1, z2: (N, D) positives, before normalisation. With several processes: the joined batch.
        progress: the share of the training that is done, 0 to 1, for the schedule.
        """
        if self.training:
            self.update(z1.detach(), z2.detach())
        return self.arguments(progress)

    def arguments(self, progress: float = 1.0) -> dict[str, Any]:
        """Return the keyword arguments without updating anything."""
        state = MarginState(
            getattr(self, "hardness", 0.0),
            getattr(self, "norm_mean", None),
            getattr(self, "norm_std", None),
            self.norm_range,
        )
        return {
            "margin": self.value(progress),
            "margin_type": self.margin_type,
            "margin_state": state,
        }

    def value(self, progress: float = 1.0) -> float | Tensor:
        """Return the margin at this point of the training."""
        smallest = self.kind.smallest
        margin = self.margin.clamp_min(smallest) if self.learnable else self.margin
        if progress >= self.warmup:
            return margin
        return smallest + (margin - smallest) * 0.5 * (
            1 - math.cos(math.pi * progress / self.warmup)
        )

    def penalty(self, z: Tensor) -> Tensor | float:
        """Return a term to add to the loss, often 0.0; z: (N, D) before normalisation."""
        penalty = -self.reward * self.margin if self.learnable else 0.0
        if self.margin_type == "magface":
            norms = torch.linalg.vector_norm(z.float(), dim=1)
            penalty = penalty + self.regulariser * magface_regulariser(norms, self.norm_range)
        return penalty

    @torch.no_grad()
    def update(self, z1: Tensor, z2: Tensor) -> None:
        """Move the running statistics towards those of this batch."""
        for statistics in self.buffers():  # under autocast the embeddings may have another type
            z1, z2 = z1.to(statistics.dtype), z2.to(statistics.dtype)
        if self.kind.hard_negatives:
            self.hardness.lerp_(F.cosine_similarity(z1, z2).mean(), EMA)
        if self.margin_type == "adaface":
            norms = torch.linalg.vector_norm(torch.cat([z1, z2]), dim=1).clamp(1e-3, 100)
            self.norm_mean.lerp_(norms.mean(), EMA)
            self.norm_std.lerp_(norms.std(), EMA)
