"""Checks during training: is the loss finite, are the weights sane, have outputs collapsed?"""

import math

import torch
from torch import Tensor, nn

from sv.errors import InputError

LARGEST_WEIGHT = 1e6
"""Trained weights are of the order of 1."""


class TrainingFailed(InputError):
    """Training cannot go on; the message is a diagnosis and a remedy."""


def effective_rank(embeddings: Tensor) -> float:
    """Return exp of the entropy of the embeddings' normalised singular values (Roy & Vetterli).

    embeddings: (N, D), centred here. The result is from 1 (all on one line: collapse) to
        min(N − 1, D).
    """
    centred = embeddings.float() - embeddings.float().mean(dim=0)
    energy = torch.linalg.svdvals(centred)
    total = energy.sum()
    if total <= 1e-6 * max(1.0, float(embeddings.float().norm())):
        return 1.0
    share = energy / total
    return math.exp(float(torch.special.entr(share).sum()))


REMEDY = (
    "lower optim.lr, set optim.clip_norm (3 is usual), or try train.precision=float32; "
    "the last checkpoint is intact"
)


def not_finite(loss: float, epoch: int, step: int) -> str:
    """Return the diagnosis of a loss that is not a number."""
    return f"the loss is {loss} in epoch {epoch + 1}, step {step + 1}: {REMEDY}"


def check_weights(module: nn.Module, epoch: int) -> None:
    """Raise ``TrainingFailed`` if a weight is NaN or larger than ``LARGEST_WEIGHT``."""
    for name, weight in module.named_parameters():
        largest = weight.detach().abs().max()
        if not largest < LARGEST_WEIGHT:  # also true of NaN
            raise TrainingFailed(
                f"weights of {name} reached {largest:.3g} in epoch {epoch + 1}: {REMEDY}"
            )


GAP = 0.02
"""If positives are closer than negatives by this much, something is learned."""


def loss_at_chance(stats: dict[str, float]) -> str | None:
    """Find a loss that stays at ``chance`` while positives are not closer than negatives.

    A healthy loss passes the chance level on its way down; the loss of a collapsed network stays
    there.
    """
    chance = stats.get("chance")
    gap = stats.get("positive_cosine", 0.0) - stats.get("negative_cosine", 0.0)
    if chance is None or abs(stats["loss"] - chance) >= 0.005 * chance or gap >= GAP:
        return None
    return (
        f"the loss stays at chance, {stats['loss']:.4f}, the loss of embeddings that are all "
        "alike. Lower optim.lr, bring method.temperature nearer to its default, lower "
        "method.margin, and"
    )


def outputs_say_nothing(stats: dict[str, float]) -> str | None:
    """Find outputs that are the same distribution for every crop (`sv.methods.figures.output_use`).

    The entropy of their mean then equals the mean of their entropies. Both are ln K if outputs
    became uniform, and 0 if one output wins for all crops. A teacher that gives different crops
    different one-hot outputs has not collapsed: the entropy of the mean is then high.
    """
    if "entropy_ceiling" not in stats:
        return None
    own, usage, ceiling = (
        stats[name] for name in ("output_entropy", "usage_entropy", "entropy_ceiling")
    )
    if usage - own >= 0.001 * ceiling:
        return None
    figures = f"entropy {own:.4f} of at most ln K = {ceiling:.4f}"
    if own > 0.99 * ceiling:
        return (
            f"the outputs are uniform for every crop ({figures}). Sharpen the targets (DINO: lower "
            "method.teacher_temp; SwAV: lower method.epsilon; SDPN: lower method.sharpening), "
            "lower optim.lr, and"
        )
    return (
        f"the outputs are the same for every crop ({figures}). Balance them (DINO: lower "
        "method.center_momentum or method.centering=sinkhorn, raise method.teacher_temp; SwAV: "
        "raise method.iterations), lower optim.lr, and"
    )


def no_spread(stats: dict[str, float]) -> str | None:
    """Find outputs whose standard deviation (``std``) is almost 0; it should be 1."""
    if stats.get("std", math.inf) >= 0.02:
        return None
    return (
        f"the outputs have a standard deviation of {stats['std']:.4f}, and it should be 1. Spread "
        "them (VICReg: raise method.variance or lower method.invariance; BYOL: raise "
        "method.momentum), lower optim.lr, and"
    )


def flat_embeddings(stats: dict[str, float]) -> str | None:
    """Find embeddings on one line, or in one point (``rank``)."""
    if stats.get("rank", math.inf) >= 1.5:
        return None
    return f"the embeddings have an effective rank of {stats['rank']:.2f}. Lower optim.lr, and"


SIGNS = (loss_at_chance, outputs_say_nothing, no_spread, flat_embeddings)
"""Functions from the means over an epoch to a diagnosis and a remedy, or None."""


class CollapseWatch:
    """Detects a collapse: a loss at chance, or outputs or embeddings that all became alike.

    Methods report figures (``Stats``), and the functions in ``SIGNS`` judge them.

    Parameters
    ----------
    patience: number of successive epochs that must look collapsed. A single one may be a start-up
        effect.
    """

    def __init__(self, patience: int = 3):
        self.patience = patience
        self.suspicious = 0

    def end_of_epoch(self, stats: dict[str, float]) -> None:
        """Judge the means over an epoch; raise ``TrainingFailed`` after ``patience`` bad epochs."""
        found = next((text for sign in SIGNS if (text := sign(stats))), None)
        self.suspicious = self.suspicious + 1 if found else 0
        if self.suspicious >= self.patience:
            raise TrainingFailed(
                f"training has collapsed: for {self.patience} epochs {found} check that crops of "
                "one utterance are alike and of two utterances differ (augmentation, silence)"
            )

    def state_dict(self) -> dict[str, int]:
        """Return the state that resuming needs."""
        return {"suspicious": self.suspicious}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the state that ``state_dict`` returned."""
        self.suspicious = state["suspicious"]
