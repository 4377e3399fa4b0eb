"""Supervised contrastive training: all crops of a speaker attract, those of others repel.

SupCon (Khosla et al., NeurIPS 2020) and H-SCL (Jiang et al. 2022), as Masztalski et al.
(Interspeech 2025, arXiv 2507.17540) train them for speakers: without a projector, with a learned
temperature, and with two utterances of each speaker in a batch. ``sv.sampling.chns`` decides which
speakers are in a batch together.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather, own_rows
from sv.losses import LearnableTemperature, h_scl, supcon
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views
from sv.methods.figures import mean_where

HARDEST = 0.01
"""Share of an anchor's negatives whose mean cosine is logged."""


@dataclass
class SupConConfig(MethodConfig):
    """SupCon with the published settings."""

    name: str = option("supcon", "the method")
    temperature: float = option(
        0.1,
        "τ at the start. A small value weighs only the hardest negatives, a large "
        "value weighs all alike",
    )
    learn_temperature: bool = option(True, "training learns τ, within the range below")
    lowest_temperature: float = option(
        0.01, "lowest τ; without this limit τ may fall until the loss overflows"
    )
    highest_temperature: float = option(1.0, "highest τ")

    def __post_init__(self):
        if not 0 < self.lowest_temperature <= self.temperature <= self.highest_temperature:
            raise ValueError(
                f"temperature {self.temperature} must lie between lowest_temperature "
                f"{self.lowest_temperature} and highest_temperature {self.highest_temperature}, "
                "all above 0"
            )


@dataclass
class HSCLConfig(SupConConfig):
    """H-SCL: like SupCon, but harder negatives weigh more."""

    name: str = option("h_scl", "the method")
    beta: float = option(
        0.1, "β: how much more hard negatives weigh. 0: all weigh alike; 1: the hardest dominate"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.beta < 0:
            raise ValueError(f"beta must not be negative, it is {self.beta}")


class SupCon(Method):
    """The encoder, a temperature, and the SupCon loss on all crops of a batch."""

    needs_labels = True

    def __init__(self, encoder: nn.Module, config: SupConConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.temperature = LearnableTemperature(
            config.temperature, config.lowest_temperature, config.highest_temperature
        )
        self.temperature.requires_grad_(config.learn_temperature)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        own = self.encoder(views.crops["views"].flatten(0, 1))
        z, labels, temperature = gather(own), gather(crop_labels(views)), self.temperature()
        loss = self.loss(z, labels, temperature=temperature, anchors=own_rows(len(own)))
        stats = contrast(z.detach(), labels)
        stats |= {"temperature": temperature.detach(), "chance": self.chance(labels)}
        return loss, {**stats, "embeddings": own.detach()}

    def loss(self, z: Tensor, labels: Tensor, **how) -> Tensor:
        """Return the loss of embeddings (N, D) of speakers (N,)."""
        return supcon(z, labels, **how)

    def chance(self, labels: Tensor) -> Tensor | float:
        """Return the loss if the embeddings of all items (N,) were alike."""
        return math.log(len(labels) - 1)


class HSCL(SupCon):
    """Like SupCon, with the H-SCL loss."""

    def loss(self, z: Tensor, labels: Tensor, **how) -> Tensor:
        """Return the loss of embeddings (N, D) of speakers (N,)."""
        return h_scl(z, labels, beta=self.config.beta, **how)


def crop_labels(views: Views) -> Tensor:
    """Return the speaker of every crop of the group ``views``, in the order of its crops: (N,)."""
    count = len(views.crops["views"])
    return views.labels.expand(count, -1).reshape(-1)


@torch.no_grad()
def contrast(z: Tensor, labels: Tensor) -> Stats:
    """Return mean cosines of positives, of negatives, and of the hardest 1 % of negatives.

    z: (N, D). The hardest negatives are chosen for each anchor, at least one, so that easy anchors
    count too.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(z.float())
        cosines = z @ z.T
    alike = labels[:, None] == labels
    positives = alike & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    negatives = cosines.masked_fill(alike, -torch.inf)
    count = max(1, math.ceil(HARDEST * (len(z) - 2)))
    hardest = negatives.topk(count, dim=1).values
    return {
        "positive_cosine": mean_where(positives, cosines),
        "negative_cosine": mean_where(~alike, cosines),
        "hardest_cosine": mean_where(hardest.isfinite(), hardest),
    }
