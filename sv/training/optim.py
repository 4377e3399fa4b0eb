"""Optimisers and learning rates. Schedules count epochs, so they mean the same on any machine."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from sv.config import option
from sv.encoders.base import Encoder, Tuning


@dataclass
class OptimConfig:
    """How the weights are updated."""

    name: Literal["adam", "adamw", "sgd"] = option("adam", "adam, adamw or sgd")
    lr: float = option(
        0.001, "learning rate after warm-up. If it is too high, the loss jumps or stays at chance"
    )
    weight_decay: float = option(0.0, "decay of the weights (not of biases and norms)")
    momentum: float = option(0.9, "momentum of sgd")
    schedule: Literal["step", "cosine", "constant"] = option(
        "step",
        "schedule of the learning rate. step: it is multiplied by step_factor every "
        "step_epochs; cosine: it falls to zero at the last epoch",
    )
    step_epochs: float = option(5.0, "number of epochs between two steps of the step schedule")
    step_factor: float = option(0.95, "number by which each step multiplies the learning rate")
    warmup_epochs: float = option(
        0.0, "number of epochs in which the learning rate rises linearly from zero"
    )
    clip_norm: float = option(
        0.0, "largest norm of the gradient; longer gradients are scaled down. 0: no clipping"
    )
    clip_by: Literal["all", "parameter"] = option(
        "all",
        "the norm that clip_norm limits. all: the norm of all gradients together; "
        "parameter: the norm of each matrix or vector of weights by itself, as "
        "published for DINO",
    )

    def __post_init__(self):
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be a number above 0, not {self.lr}")
        for name in ("step_epochs", "step_factor"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "warmup_epochs", "clip_norm"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, it is {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")


def learning_rate(config: OptimConfig, epoch: float, epochs: int) -> float:
    """Return the learning rate at a moment of training.

    Parameters
    ----------
    epoch: number of epochs that are done; inside an epoch, a fraction.
    epochs: number of epochs of the whole training.
    """
    rate = config.lr
    if config.schedule == "step":
        # The small number is for rounding: 4.999999 epochs must count as 5.
        rate *= config.step_factor ** math.floor(epoch / config.step_epochs + 1e-9)
    elif config.schedule == "cosine":
        start = config.warmup_epochs
        done = min(1.0, max(0.0, epoch - start) / max(1e-9, epochs - start))
        rate *= 0.5 * (1.0 + math.cos(math.pi * done))
    if epoch < config.warmup_epochs:
        rate = config.lr * epoch / config.warmup_epochs
    return rate


def build_optimizer(config: OptimConfig, module: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser for the trainable weights of ``module``.

    On a GPU its kernels are fused: one launch updates all weights. On a CPU they are torch's
    default, because fused ones round otherwise, and an update is a small part of a step there.
    """
    groups = [
        {"params": list(weights), "weight_decay": decay}
        for weights, decay in _by_decay(config, module)
    ]
    groups = [group for group in groups if group["params"]]
    tunings = _tunings(module)
    for tuning in tunings:
        groups.append({"params": tuning.weights, "weight_decay": 0.0, "scale": tuning.rate})
    optimizer = _optimizer(config, groups)
    for tuning in tunings:
        pull_back(optimizer, tuning)
    return optimizer


def _optimizer(config: OptimConfig, groups: list[dict]) -> torch.optim.Optimizer:
    weights = [weight for group in groups for weight in group["params"]]
    fused = True if all(weight.is_cuda for weight in weights) else None
    if config.name == "sgd":
        optimizer = torch.optim.SGD(groups, config.lr, config.momentum, fused=fused)
    else:
        kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
        optimizer = kind(groups, config.lr, fused=fused)
    optimizer.register_load_state_dict_pre_hook(_with_own_kernels)
    return optimizer


def _with_own_kernels(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a checkpoint with this optimiser's choice of kernels, not the saved one.

    A checkpoint may come from another device, or from before there was a choice.
    """
    own = {name: optimizer.param_groups[0].get(name) for name in ("fused", "foreach")}
    return {**state, "param_groups": [{**group, **own} for group in state["param_groups"]]}


def _by_decay(
    config: OptimConfig, module: nn.Module
) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
    """Yield matrices with decay, then vectors (biases and the scales of norms) without.

    Weights that an encoder tunes (``Encoder.tuning``) are not among them.
    """
    tuned = {id(weight) for tuning in _tunings(module) for weight in tuning.weights}
    trainable = [weight for weight in module.parameters() if weight.requires_grad]
    trainable = [weight for weight in trainable if id(weight) not in tuned]
    yield (weight for weight in trainable if weight.ndim > 1), config.weight_decay
    yield (weight for weight in trainable if weight.ndim <= 1), 0.0


def _tunings(module: nn.Module) -> list[Tuning]:
    """Return what the encoders in ``module`` train more slowly."""
    encoders = (part for part in module.modules() if isinstance(part, Encoder))
    return [tuning for encoder in encoders if (tuning := encoder.tuning()) is not None]


def pull_back(optimizer: torch.optim.Optimizer, tuning: Tuning) -> None:
    """Add the gradient of pull · ‖w − w₀‖² in each step; w₀ are the present weights.

    It is added to the gradient of the loss after clipping.
    """
    if tuning.pull == 0:
        return
    start = [weight.detach().clone() for weight in tuning.weights]

    def add(*_: object) -> None:
        with torch.no_grad():
            for weight, first in zip(tuning.weights, start, strict=True):
                if weight.grad is not None:
                    weight.grad.add_(weight - first, alpha=2.0 * tuning.pull)

    optimizer.register_step_pre_hook(add)


def clip_gradients(config: OptimConfig, weights: Iterable[nn.Parameter]) -> None:
    """Scale down gradients longer than ``clip_norm``: all by one factor, or each by its own."""
    if config.clip_norm <= 0:
        return
    groups = [[weight] for weight in weights] if config.clip_by == "parameter" else [list(weights)]
    for group in groups:
        torch.nn.utils.clip_grad_norm_(group, config.clip_norm)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of weights the learning rate times its ``scale``, which is 1 for most."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
