"""Angular SupCon, its sum with AAM-Softmax, and attention that spares hard samples.

Li, Mak & Meng, "Discriminative speaker representation via contrastive learning with class-aware
attention in angular space", ICASSP 2023 (arXiv 2210.16622). The loss is that of the code which its
authors released. The sum, its weights by MGDA and the attention are in the abstract of the paper,
not in that code; their form here is a reconstruction:

    L_A   SupCon with cos − m for every positive, above and below (`sv.losses.supcon`)
    L_C   AAM-Softmax of the same embeddings, with a centre for each speaker
    L     = α L_A + (1 − α) L_C,  α in [0, 1] that makes ‖α ∂L_A/∂z + (1 − α) ∂L_C/∂z‖ smallest
    a_i   = softmax_c(s·cos(z_i, centre_c)) at the speaker of i; with attention, negatives (i, j) of
            L_A weigh min(a_i, a_j), relative to the mean weight of the negatives of i

All of them take batches of random speakers or of CHNS (``sv.sampling.chns``).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather, own_rows, relative_share
from sv.losses import aam_softmax, mgda_weight, supcon
from sv.methods.base import Facts, Stats, Views
from sv.methods.classify import new_centers, share_nearest
from sv.methods.figures import mean_where
from sv.methods.supcon import SupCon, SupConConfig, contrast, crop_labels


@dataclass
class AngularSupConConfig(SupConConfig):
    """Li, Mak & Meng, ICASSP 2023 (arXiv 2210.16622), with the settings of their code."""

    name: str = option("angular_supcon", "the method")
    temperature: float = option(
        0.07,
        "τ; at the start, if it is learned. A small value weighs only the hardest negatives, a "
        "large value weighs all alike",
    )
    learn_temperature: bool = option(
        False, "training learns τ, within the range below; with a margin, τ tends to grow"
    )
    margin: float = option(
        0.1,
        "m, which is subtracted from the cosine of every positive. What matters is m / τ: with "
        "more than about 6 the loss never falls. 0: SupCon",
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.margin < 2:
            raise ValueError(f"margin must be from 0 to below 2, not {self.margin}")


@dataclass
class SupConAAMConfig(AngularSupConConfig):
    """The same and AAM-Softmax; scale and margin of the latter as in arXiv 2507.17540."""

    name: str = option("supcon_aam", "the method")
    scale: float = option(
        30.0, "s of AAM-Softmax. If it is too low, the loss stays high even for good vectors"
    )
    aam_margin: float = option(
        0.2, "m of AAM-Softmax, radians. If it is too high, a small network learns nothing"
    )
    attention: bool = option(
        False,
        "negatives of SupCon weigh less if the classifier is unsure of one of the two. It spares "
        "samples that are hard or wrongly labelled; with clean labels these teach the most",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.scale <= 0 or not 0 <= self.aam_margin < 1.5:
            raise ValueError("scale must be above 0, aam_margin from 0 to 1.5")


class AngularSupCon(SupCon):
    """SupCon with a margin on the cosines of positives."""

    def loss(self, z: Tensor, labels: Tensor, **how) -> Tensor:
        """Return the loss of embeddings (N, D) of speakers (N,)."""
        return supcon(z, labels, margin=self.config.margin, **how)

    def chance(self, labels: Tensor) -> Tensor:
        """Return the loss if all embeddings were alike: mean log(positives + negatives·e^{m/τ})."""
        alike = (labels[:, None] == labels).sum(dim=1)
        weight = (self.config.margin / self.temperature().detach()).exp()
        level = (alike - 1 + (len(labels) - alike) * weight).log()
        return mean_where(alike > 1, level)


class SupConAAM(AngularSupCon):
    """Angular SupCon and a classifier, whose centres are left out of the model that is saved."""

    def __init__(self, encoder: nn.Module, config: SupConAAMConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.centers = new_centers(facts, encoder.embedding_dim)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        config, own = self.config, self.encoder(views.crops["views"].flatten(0, 1))
        labels, temperature = crop_labels(views), self.temperature()
        joined, everyones = gather(own), gather(labels)
        attention = gather(self._attention(own, labels)) if config.attention else None
        how = {"temperature": temperature, "anchors": own_rows(len(own)), "attention": attention}
        angular = self.loss(joined, everyones, **how)
        how = {"scale": config.scale, "margin": config.aam_margin}
        classified = aam_softmax(own, self.centers, labels, **how)
        share = self._share(angular, classified, own)
        stats = contrast(joined.detach(), everyones) | {
            "temperature": temperature.detach(),
            "contrastive_share": share,
            "accuracy": share_nearest(own.detach(), self.centers, labels),
        }
        loss = share * angular + (1 - share) * classified
        return loss, {**stats, "embeddings": own.detach()}

    @torch.no_grad()
    def _attention(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the probability (N,) that the classifier gives to the speaker of each item."""
        with torch.autocast(z.device.type, enabled=False):
            cosines = F.normalize(z.float()) @ F.normalize(self.centers.float()).T
            chosen = (self.config.scale * cosines).softmax(dim=1).gather(1, labels[:, None])
            return chosen.squeeze(1).clamp_min(1e-6)

    def _share(self, angular: Tensor, classified: Tensor, own: Tensor) -> Tensor:
        """Return α, the same in all processes."""
        if not own.requires_grad:
            return torch.full_like(angular, 0.5)
        gradients = [
            gather(torch.autograd.grad(loss, own, retain_graph=True)[0] * relative_share())
            for loss in (angular, classified)
        ]
        return mgda_weight(*gradients).to(angular.dtype)
