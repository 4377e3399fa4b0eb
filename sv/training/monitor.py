"""Watches training: is it learning, has it collapsed, is it waiting for data?"""

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

    embeddings: (N, D), centred here. From 1, all on one line (collapse), up to min(N − 1, D).
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
    """Stop before weights that are not numbers, or beyond all measure, are saved."""
    for name, weight in module.named_parameters():
        largest = weight.detach().abs().max()
        if not largest < LARGEST_WEIGHT:  # also true of NaN
            raise TrainingFailed(
                f"weights of {name} reached {largest:.3g} in epoch {epoch + 1}: {REMEDY}"
            )


GAP = 0.02
"""Positives that are closer than negatives by this much show that something is learned."""


def loss_at_chance(stats: dict[str, float]) -> str | None:
    """Loss stuck at ``chance``, while positives are no closer than negatives.

    A healthy loss passes through the chance level on its way down; a collapsed one stays there.
    """
    chance = stats.get("chance")
    gap = stats.get("positive_cosine", 0.0) - stats.get("negative_cosine", 0.0)
    if chance is None or abs(stats["loss"] - chance) >= 0.005 * chance or gap >= GAP:
        return None
    return (
        f"the loss stays at chance, {stats['loss']:.4f}, which is what embeddings that are all "
        "alike would give. Lower optim.lr, raise method.temperature or lower method.margin, and"
    )


def outputs_say_nothing(stats: dict[str, float]) -> str | None:
    """Outputs that are the same distribution for every crop (``sv.methods.figures.output_use``).

    Then the entropy of their mean is no more than the mean of their entropies. Both are ln K
    where outputs became uniform, and 0 where one output took all.

    A teacher that gives each crop another certain output is no collapse: the entropy of the mean is
    then high.
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
    """Outputs that ought to have a standard deviation of 1, and have almost none (``std``)."""
    if stats.get("std", math.inf) >= 0.02:
        return None
    return (
        f"the outputs have a standard deviation of {stats['std']:.4f} where 1 is wanted. Spread "
        "them (VICReg: raise method.variance or lower method.invariance; BYOL: raise "
        "method.momentum), lower optim.lr, and"
    )


def flat_embeddings(stats: dict[str, float]) -> str | None:
    """Embeddings on one line, or in one point (``rank``)."""
    if stats.get("rank", math.inf) >= 1.5:
        return None
    return f"the embeddings have an effective rank of {stats['rank']:.2f}. Lower optim.lr, and"


SIGNS = (loss_at_chance, outputs_say_nothing, no_spread, flat_embeddings)
"""Functions of the means over an epoch that return a diagnosis and a remedy, or None."""


class CollapseWatch:
    """Names a collapse: a loss at chance, outputs or embeddings that all became alike.

    Methods say what they see (``Stats``), ``SIGNS`` judge it.

    Parameters
    ----------
    patience: epochs in a row that must look collapsed; one alone may be a start-up effect.
    """

    def __init__(self, patience: int = 3):
        self.patience = patience
        self.suspicious = 0

    def end_of_epoch(self, stats: dict[str, float]) -> None:
        """Look at the means over an epoch; stop training once the patience is exhausted."""
        found = next((text for sign in SIGNS if (text := sign(stats))), None)
        self.suspicious = self.suspicious + 1 if found else 0
        if self.suspicious >= self.patience:
            raise TrainingFailed(
                f"training has collapsed: for {self.patience} epochs {found} check that crops of "
                "one utterance are alike and of two utterances differ (augmentation, silence)"
            )

    def state_dict(self) -> dict[str, int]:
        """Return what resuming needs."""
        return {"suspicious": self.suspicious}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up the state of another watch."""
        self.suspicious = state["suspicious"]
