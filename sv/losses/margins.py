"""Margins on the cosine of a positive pair: one table for all of them.

A margin replaces the positive's cos(θ) by a smaller number, so a pair must be closer to reach the
same loss. Each entry of `MARGINS` has a function of the cosines, the margin m, the lengths of the
embeddings and the running statistics; it uses those that its formula needs. Autograd
differentiates these functions: the losses need only the positives' shifted cosines, one number for
each anchor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MAGFACE_LOWEST = 0.45 / 0.8
"""MagFace's smallest margin as a share of its largest, as published (0.45 and 0.8)."""

ADAFACE_H = 0.333
"""AdaFace: lengths within h⁻¹ = 3 standard deviations of the mean set the margin linearly."""


class MarginState(NamedTuple):
    """Statistics that some margins need beside the batch; `AdaptiveMargin` keeps them up to date.

    hardness: CurricularFace's t, the running mean of the positives' cosines, 0 at the start.
    norm_mean, norm_std: AdaFace's running statistics of embedding lengths. None: those of the
        batch are used.
    norm_range: MagFace's l_a and u_a, the lengths at which its margin is smallest and largest.
    """

    hardness: Tensor | float = 0.0
    norm_mean: Tensor | None = None
    norm_std: Tensor | None = None
    norm_range: tuple[float, float] = (10.0, 110.0)


def with_norms(state: MarginState, norms: Tensor) -> MarginState:
    """Return ``state``; if it has no statistics of lengths, those of ``norms`` (N,) are put in."""
    if state.norm_mean is not None:
        return state
    norms = norms.detach()
    return state._replace(norm_mean=norms.mean(), norm_std=norms.std(correction=0))


Shift = Callable[[Tensor, Tensor | float, Tensor, MarginState], Tensor]


def no_margin(cosine: Tensor, margin, norms, state) -> Tensor:
    """cos θ, unchanged: plain NT-Xent."""
    return cosine


def additive(cosine: Tensor, margin, norms, state) -> Tensor:
    """cos θ − m: NT-Xent-AM (Lepage & Dehak 2024); CosFace (Wang et al., CVPR 2018, eq. 4)."""
    return cosine - margin


def additive_angular(cosine: Tensor, margin, norms, state) -> Tensor:
    """cos(θ + m): NT-Xent-AAM (Lepage & Dehak 2024); ArcFace (Deng et al., CVPR 2019, eq. 3).

    Past θ = π − m the cosine would rise again; there cos θ − m·sin(π − m) continues it downwards.
    """
    if not isinstance(margin, Tensor):
        # A number that stays on the CPU is handed to a GPU with the operation, without a copy.
        margin = torch.tensor(margin, dtype=cosine.dtype)
    margin = margin.to(cosine.dtype)
    shifted = cosine * margin.cos() - _sine(cosine) * margin.sin()
    return torch.where(cosine > -margin.cos(), shifted, cosine - margin * margin.sin())


def multiplicative_angular(cosine: Tensor, margin, norms, state) -> Tensor:
    """(−1)^k cos(mθ) − 2k with k = ⌊mθ/π⌋, which decreases over all of [0, π]; m ≥ 1.

    SphereFace (Liu et al., CVPR 2017, eq. 7). m = 1 is no margin; the paper uses up to 4.
    """
    angle = torch.atan2(_sine(cosine), cosine) * margin
    k = (angle.detach() / math.pi).floor()
    return (1.0 - 2.0 * (k % 2)) * angle.cos() - 2.0 * k


def norm_dependent(cosine: Tensor, margin, norms, state) -> Tensor:
    """cos(θ + m(a)); m rises linearly with the embedding's length a, which gets a gradient.

    MagFace (Meng et al., CVPR 2021, eq. 2 and 3): m(a) rises from 0.45/0.8 of the margin at l_a to
    the margin at u_a. Add the regulariser `magface_regulariser` to the loss; without it every
    embedding becomes short.
    """
    low, high = state.norm_range
    share = (norms.clamp(low, high) - low) / (high - low)
    margins = margin * (MAGFACE_LOWEST + (1.0 - MAGFACE_LOWEST) * share)
    return additive_angular(cosine, margins, norms, state)


def quality_adaptive(cosine: Tensor, margin, norms, state) -> Tensor:
    """cos(θ − m·q) − (m·q + m), q ∈ [−1, 1] the standardised length of the embedding (detached).

    AdaFace (Kim et al., CVPR 2022, eq. 15 to 17), h = 0.333. A long embedding is taken as a good
    recording and gets an additive margin of 2m. An average one gets m, a short one an angular
    margin of m. The angle is kept within [0, π], as in the authors' code.
    """
    state = with_norms(state, norms)
    quality = ADAFACE_H * (norms.detach() - state.norm_mean) / (state.norm_std + 1e-3)
    quality = quality.clamp(-1.0, 1.0)
    angle = torch.atan2(_sine(cosine), cosine) - margin * quality
    return angle.clamp(0.0, math.pi).cos() - margin * (quality + 1.0)


@dataclass(frozen=True)
class Margin:
    """One row of the table.

    shift: the positive's cosine after the margin.
    smallest: the value of m at which the margin does nothing.
    hard_negatives: negatives harder than the shifted positive become cos·(t + cos), as in
        CurricularFace (Huang et al., CVPR 2020, eq. 4 and 5); t is the state's hardness.
    """

    shift: Shift
    smallest: float = 0.0
    hard_negatives: bool = False


MARGINS: dict[str, Margin] = {
    "none": Margin(no_margin),
    "am": Margin(additive),
    "aam": Margin(additive_angular),
    "sphereface": Margin(multiplicative_angular, smallest=1.0),
    "curricularface": Margin(additive_angular, hard_negatives=True),
    "magface": Margin(norm_dependent),
    "adaface": Margin(quality_adaptive),
}
"""``margin_type`` → the function that shifts a positive's cosine."""


def get_margin(margin_type: str) -> Margin:
    """Return the table's row for ``margin_type``; ``ValueError`` names the known ones."""
    if margin_type not in MARGINS:
        raise ValueError(f"margin_type is {margin_type!r}: choose one of {', '.join(MARGINS)}")
    return MARGINS[margin_type]


def check_margin(margin_type: str, margin: float) -> None:
    """Raise ``ValueError`` if ``margin`` is impossible for ``margin_type``."""
    smallest = get_margin(margin_type).smallest
    if margin_type == "none" and margin != 0.0:
        raise ValueError(
            f"margin is {margin} but margin_type is none, which has no margin: "
            f"set margin to 0 or choose one of {', '.join(list(MARGINS)[1:])}"
        )
    if margin < smallest:
        raise ValueError(
            f"margin is {margin}: with margin_type {margin_type} it must be at least {smallest}"
            + (", since it multiplies the angle" if smallest else "")
        )


def usual_margin(margin_type: str) -> float:
    """Return the smallest margin + 0.1: published for ``am`` (τ = 0.03), a guess for others."""
    return 0.0 if margin_type == "none" else get_margin(margin_type).smallest + 0.1


def chance_level(
    negatives: int,
    *,
    temperature: float,
    margin: float | Tensor = 0.0,
    margin_type: str = "none",
    margin_state: MarginState | None = None,
    norm: float | Tensor = 1.0,
) -> Tensor:
    """Return the InfoNCE loss of embeddings that are all equal: log(1 + negatives), or more.

    It is log(1 + negatives · e^{(1 − m(1))/τ}), with m(1) the positive's cosine after the margin.
    The result is a float64 scalar on the device of the tensors among the arguments; nothing is read
    from the device.

    norm: the length of the embeddings, on which some margins depend.
    """
    kind, state = get_margin(margin_type), margin_state or MarginState()
    known = [x for x in (margin, norm, *state[:3]) if isinstance(x, Tensor)]
    one = torch.ones((), dtype=torch.float64, device=known[0].device if known else "cpu")
    shifted = kind.shift(one, margin, norm * one, state).detach()
    harder = torch.where(shifted < 1.0, state.hardness, 0.0) if kind.hard_negatives else 0.0
    ratio = (1.0 + harder - shifted) / temperature
    return F.softplus(ratio + math.log(negatives)) if negatives else 0.0 * one


def magface_regulariser(norms: Tensor, norm_range: tuple[float, float] = (10.0, 110.0)) -> Tensor:
    """Return the mean of a/u_a² + 1/a over lengths a (clamped to [l_a, u_a]); smallest at u_a.

    MagFace, eq. 4 (Meng et al., CVPR 2021); the authors give it the weight 35 for faces.
    """
    low, high = norm_range
    norms = norms.clamp(low, high)
    return (norms / high**2 + 1.0 / norms).mean()


def _sine(cosine: Tensor) -> Tensor:
    """Return sin θ ≥ 0 from cos θ; at θ = 0 and θ = π its slope is 0, not infinite."""
    return (1.0 - cosine.square()).clamp_min(1e-12).sqrt()
