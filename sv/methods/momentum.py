"""Networks that follow another network by a moving average: MoCo's key encoder, DINO's teacher."""

import copy
import math

import torch
from torch import Tensor, nn


def follower(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` that has no gradients."""
    return copy.deepcopy(module).requires_grad_(False)


def rising(start: float, share: float) -> float:
    """Return a momentum that rises from ``start`` (share 0) to 1 (share 1) along half a cosine."""
    return 1.0 - (1.0 - start) * 0.5 * (1.0 + math.cos(math.pi * share))


@torch.no_grad()
def follow(
    target: nn.Module, source: nn.Module, momentum: float, steps: Tensor | None = None
) -> None:
    """Move the weights of ``target``: θ' ← momentum · θ' + (1 − momentum) · θ.

    steps: the number of steps that are done, a scalar on the network's device. If it is given, the
        running statistics of batch norms follow as well; a target in evaluation mode needs this,
        because it never measures its own. Their momentum is min(momentum, (1 + steps) /
        (10 + steps)), because they start far from any data and must move faster at first.
    """
    _move(list(target.parameters()), list(source.parameters()), 1.0 - momentum)
    if steps is None:
        return
    share = 1.0 - ((1.0 + steps) / (10.0 + steps)).clamp_max(momentum)
    pairs = list(zip(target.buffers(), source.buffers(), strict=True))
    for dtype in dict.fromkeys(average.dtype for average, _ in pairs):
        averages, values = map(list, zip(*[p for p in pairs if p[0].dtype == dtype], strict=True))
        if dtype.is_floating_point:
            _move(averages, values, share.to(dtype))
        else:
            torch._foreach_copy_(averages, values)  # counts of batches


def _move(averages: list[Tensor], values: list[Tensor], share: Tensor | float) -> None:
    """Move each of ``averages`` by ``share`` of the way; on a GPU few kernels move them all.

    The bits are those of a loop.
    """
    if averages:  # a head without layers has no weights
        many = [share] * len(averages) if isinstance(share, Tensor) else share
        torch._foreach_lerp_(averages, values, many)


class RisingMomentum:
    """A mixin for methods whose momentum rises from ``config.momentum`` to 1 by half a cosine."""

    follows = "teacher"
    """What follows, for messages about its schedule."""

    def momentum(self, moment) -> float:
        """Return the momentum at a `sv.methods.base.Moment`."""
        return rising(self.config.momentum, moment.share)

    def schedules(self, moment) -> dict[str, float]:
        """Return the momentum by its name."""
        return {f"the {self.follows}'s momentum": self.momentum(moment)}
