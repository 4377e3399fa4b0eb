"""AAM-Softmax on pseudo-labels, with a gate for samples whose label is probably wrong (recipe v5).

With ℓ_i the cross-entropy of AAM-Softmax (s, m) of crop x_i, whose label y_i is a cluster:

    L = Σ_i 1[ℓ_i ≤ g] ℓ_i / Σ_i 1[ℓ_i ≤ g]

- ``fixed``: g is a setting. Loss-gated learning (LGL), Tao et al., ICASSP 2022 (arXiv 2110.03869).
- ``gaussians``: two weighted Gaussians are fitted to ln ℓ of the epoch before
  (`sv.sampling.two_gaussians`); ln g is their crossing between the modes. Dynamic loss-gate (DLG),
  Han, Chen & Qian, Interspeech 2022 (arXiv 2208.01928).

Label correction (LC, the same paper): a sample above the gate gets the label that the classifier
gives to a clean crop x̃_i of its utterance, if the classifier is sure of it:

    p_i = softmax_c(cos(w_c, f(x̃_i)) / 0.1),  ŷ_i = argmax_c p_ic,  p̂_i = max_c p_ic
    k_i = 1[ℓ_i ≤ g],  r_i = (1 − k_i) 1[p̂_i > 0.5]
    L = Σ_i (k_i ℓ_i + r_i ℓ(x_i, ŷ_i)) / Σ_i (k_i + r_i)

[published] the two gates, the fit, p, ŷ and p̂. [reconstruction] the common denominator, and that
the margin moves to ŷ; in the code of DLG-LC it stays on the old label, and the loss is divided by
its own value. The clean crop is any of its utterance, and batch norms see it in evaluation mode.
"""

import logging
import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import all_reduce_mean, gather
from sv.errors import InputError
from sv.losses import aam_logits, class_cosines, gated_mean
from sv.methods.base import Facts, Moment, Stats, Views
from sv.methods.classify import Classify, ClassifyConfig
from sv.methods.figures import mean_where
from sv.sampling.two_gaussians import fit

logger = logging.getLogger(__name__)


@dataclass
class GatedAAMConfig(ClassifyConfig):
    """LGL and DLG-LC; s and m as in both, gates and epochs as in their released code."""

    name: str = option("aam_gated", "the method")
    gate: Literal["none", "fixed", "gaussians"] = option(
        "gaussians",
        "which samples count. none: all; fixed: those with a cross-entropy of at most gate_loss; "
        "gaussians: those of the lower of two Gaussians, fitted to the log losses of each epoch",
    )
    gate_loss: float = option(
        3.0,
        "g of the fixed gate. LGL: 1, 3, 3, 5, 6 in five rounds. If it is too low, only easy "
        "samples are left, and if it is too high, wrong labels are learned",
    )
    gate_start: int = option(
        5,
        "number of epochs before the gate closes. The network learns right labels first, so their "
        "losses must have fallen, and those of wrong labels not yet",
    )
    correct: bool = option(True, "samples above the gate get the label of a clean crop, if sure")
    correct_start: int = option(
        8, "number of epochs before labels are corrected; at least the gate's"
    )
    correct_temperature: float = option(
        0.1, "temperature of the prediction for a clean crop; a higher one is less often sure"
    )
    confidence: float = option(
        0.5, "smallest probability of a corrected label. Too low: wrong labels come back"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.gate_loss <= 0 or self.correct_temperature <= 0 or not 0 <= self.confidence < 1:
            raise ValueError(
                "gate_loss and correct_temperature must be above 0, confidence from 0 to below 1"
            )
        if self.gate_start < 1 or self.correct_start < self.gate_start:
            raise ValueError(
                "gate_start must be at least 1, because the first epoch tells the losses, and "
                "correct_start not before gate_start"
            )

    @property
    def corrects(self) -> bool:
        """Whether labels are corrected at all."""
        return self.correct and self.gate != "none"


class GatedAAM(Classify):
    """The classifier, and of each utterance the last loss and label.

    Buffers: ``gate``, ln g of this epoch, ∞ for none; ``log_loss`` (N,), ln ℓ in this epoch, ∞ for
    an utterance that was not seen; ``new_label`` (N,), the corrected label, −1 for none.
    """

    labels_are, accumulation = "clusters", "cached"

    def __init__(self, encoder: nn.Module, config: GatedAAMConfig, facts: Facts | None = None):
        super().__init__(encoder, config, facts)
        self.register_buffer("gate", torch.tensor(math.inf))
        self.register_buffer("log_loss", torch.full((facts.utterances,), math.inf))
        self.register_buffer("new_label", torch.full((facts.utterances,), -1))

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return one crop of each utterance, and a clean one for the correction."""
        groups = [CropGroup("views", 1, data.crop_seconds)]
        if self.config.corrects:
            groups.append(CropGroup("clean", 1, data.crop_seconds, augment=False))
        return groups

    def start_epoch(self, moment: Moment) -> Stats:
        """Set the gate by the losses of the epoch before, and forget them."""
        config, figures = self.config, {}
        if config.gate != "none" and moment.epoch >= config.gate_start:
            seen = self.log_loss[self.log_loss < math.inf]
            gate = math.log(config.gate_loss) if config.gate == "fixed" else self._crossing(seen)
            refuse_nothing(seen, gate)
            self.gate.fill_(gate)
            if gate < math.inf:
                figures = {"gate": math.exp(gate)}
        self.log_loss.fill_(math.inf)
        self.new_label.fill_(-1)
        return figures

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        config, z = self.config, self.encoder(views.crops["views"][0])
        odds = self._odds(z, views.labels)
        losses, log_loss = F.softplus(odds), log_softplus(odds.detach())
        keep = log_loss <= self._gate_at(views.moment)
        counted, new = keep, torch.full_like(views.labels, -1)
        if config.corrects and views.moment.epoch >= config.correct_start:
            label, sure = self._predict(views)
            replaced = ~keep & sure
            counted, new = keep | replaced, torch.where(replaced, label, new)
            losses = torch.where(replaced, F.softplus(self._odds(z, label)), losses)
        if self.training:
            self._remember(views.utterances, log_loss, new)
        share = counted.to(losses.dtype).mean()
        total = all_reduce_mean(share)
        figures = self._figures(z.detach(), views.labels)
        figures |= {"kept": keep.float().mean()}
        if config.corrects:
            confirmed = new == views.labels
            figures["corrected"] = ((new >= 0) & ~confirmed).float().mean()
            figures["confirmed"] = confirmed.float().mean()
        return gated_mean(losses, counted, total), {**figures, "embeddings": z.detach()}

    def _odds(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return o (N,) = ln Σ_{c≠y} e^{logit_c} − logit_y; the cross-entropy is ln(1 + e^o)."""
        config = self.config
        how = {"scale": config.scale, "margin": config.margin, "sub_centers": config.sub_centers}
        logits = aam_logits(z, self.centers, labels, **how)
        own = labels[:, None]
        others = logits.scatter(1, own, -math.inf).logsumexp(dim=1)
        return others - logits.gather(1, own).squeeze(1)

    def _gate_at(self, moment: Moment) -> Tensor | float:
        """Return ln g; ∞ before the gate starts."""
        if self.config.gate == "fixed" and moment.epoch >= self.config.gate_start:
            return math.log(self.config.gate_loss)
        return self.gate

    @torch.no_grad()
    def _predict(self, views: Views) -> tuple[Tensor, Tensor]:
        """Return the label (N,) that the classifier gives to the clean crops, and if it is sure."""
        z = self._reference(views.crops["clean"][0])
        cosines = class_cosines(z, self.centers, self.config.sub_centers)
        best = (cosines / self.config.correct_temperature).softmax(dim=1).max(dim=1)
        return best.indices, best.values > self.config.confidence

    @torch.no_grad()
    def _remember(self, utterances: Tensor, log_loss: Tensor, new: Tensor) -> None:
        """Store what the items of all processes came to."""
        everyones = gather(utterances)
        self.log_loss[everyones] = gather(log_loss).to(self.log_loss.dtype)
        self.new_label[everyones] = gather(new)

    @torch.no_grad()
    def _figures(self, z: Tensor, labels: Tensor) -> Stats:
        """Return the mean cosines of items with their own centre and with others, and accuracy."""
        cosines = class_cosines(z, self.centers, self.config.sub_centers)
        own = labels[:, None] == torch.arange(cosines.shape[1], device=labels.device)
        return {
            "positive_cosine": mean_where(own, cosines),
            "negative_cosine": mean_where(~own, cosines),
            "accuracy": (cosines.argmax(dim=1) == labels).float().mean(),
        }

    def _crossing(self, seen: Tensor) -> float:
        """Return where the two Gaussians cross, or the gate so far, with a sentence, if nowhere."""
        if len(seen) < 4:
            raise InputError(
                f"the last epoch saw {len(seen)} utterances: two Gaussians need 4 or more"
            )
        found = fit(seen.double().cpu().numpy())
        crossings = found.crossings()
        if len(crossings) == 1:
            return crossings[0]
        gate = float(self.gate)
        stays = "all samples count" if gate == math.inf else f"it stays at {math.exp(gate):.3g}"
        low, high = (math.exp(mean) for mean in found.means)
        logger.info(
            f"the two Gaussians of the losses, around {low:.3g} and {high:.3g}, cross "
            f"{len(crossings)} times between their modes, which gives no gate: {stays}"
        )
        return gate


def log_softplus(x: Tensor) -> Tensor:
    """Return ln ln(1 + e^x), which is x far below 0, where ln(1 + e^x) is 0 in float32."""
    return torch.where(x < -15.0, x, F.softplus(x.clamp_min(-15.0)).log())


def refuse_nothing(log_losses: Tensor, gate: float) -> None:
    """Raise ``InputError`` if no loss of the epoch before is at most the gate; both are logarithms.

    Training would go on without a gradient.
    """
    if len(log_losses) and not bool((log_losses <= gate).any()):
        smallest, median = math.exp(log_losses.min()), math.exp(log_losses.median())
        raise InputError(
            f"a gate of {math.exp(gate):.3g} keeps nothing: the losses of the last epoch begin at "
            f"{smallest:.3g}, their median is {median:.3g}. Raise method.gate_loss or "
            "method.gate_start, or set method.gate=none, in a new training (another --out)"
        )
