"""ACSG: SimCLR with a clean crop beside the two augmented ones, whose negatives weigh more.

Gan, Mak, Lin & Chien, "Asymmetric clean segments-guided self-supervised learning for robust speaker
verification", 2023 (arXiv 2309.04265). The idea is the paper's; numbers and details here are ours.

With c_i the clean crop of utterance i, a_i and a'_i its augmented crops, and w ≥ 1:

    L = NT-Xent(a, a') + λ · ½ [ℓ(c, a) + ℓ(c, a')]
    ℓ(c, a) = −(1/N) Σ_i log[ e_ii / (e_ii + w Σ_{j≠i} e_ij) ],   e_ij = e^{cos(c_i,a_j)/τ}

So (c_i, a_i) is one more positive pair, and the pairs (c_i, a_j) are negatives that weigh w. Divide
numerator and denominator by w: the positive alone changes, to e^{(cos(c_i,a_i) − m)/τ} with
m = τ·ln w. So ℓ is NT-Xent-AM with the clean crops as anchors.
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import gather, own_rows
from sv.losses import nt_xent
from sv.losses.margins import chance_level
from sv.methods.base import Stats, Views
from sv.methods.simclr import SimCLR, SimCLRConfig


@dataclass
class ACSGConfig(SimCLRConfig):
    """Gan et al. 2023 (arXiv 2309.04265): weights are not published as far as we know, so ours."""

    name: str = option("acsg", "the method")
    clean_weight: float = option(
        1.0,
        "λ, weight of the pairs of a clean and an augmented crop. 0: SimCLR; if it is too high, "
        "the network hardly learns that two augmented crops are alike, as tests need it",
    )
    negative_weight: float = option(
        2.0,
        "w, how much a clean crop's negatives weigh: an additive margin of τ ln w on its "
        "positives. 1: as all others; with τ = 0.03, 28 is a margin of 0.1, and with far more the "
        "loss never falls",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.clean_weight < 0 or self.negative_weight < 1:
            raise ValueError("clean_weight must not be negative, negative_weight at least 1")


class ACSG(SimCLR):
    """SimCLR and one more crop, as recorded, which is a batch of its own for the batch norms."""

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return the two augmented crops and a clean one."""
        return [*super().crop_groups(data), CropGroup("clean", 1, data.crop_seconds, augment=False)]

    def contrast(self, anchor: Tensor, positive: Tensor, views: Views) -> tuple[Tensor, Stats]:
        """Return SimCLR's loss and that of the clean crops with each of the augmented ones."""
        loss, stats = super().contrast(anchor, positive, views)
        config, clean = self.config, self.projector(self.encoder(views.crops["clean"][0]))
        how = {"temperature": config.temperature, "margin_type": "am"}
        how["margin"] = config.temperature * math.log(config.negative_weight)
        anchors, joined = own_rows(len(clean)), gather(clean)
        for augmented in (anchor, positive):
            pairs = (joined, gather(augmented))
            guided = nt_xent(*pairs, **how, symmetric=False, anchors=anchors)
            loss = loss + config.clean_weight / 2 * guided
        stats["chance"] += config.clean_weight * chance_level(len(joined) - 1, **how)
        alike = F.cosine_similarity(clean.detach().float(), anchor.detach().float())
        return loss, {**stats, "clean_cosine": alike.mean()}
