"""A long recording, encoded block by block: the sums over all its frames, with bounded memory.

An encoder mixes frames in two ways. Convolutions see ``Encoder.reach`` frames to each side, so a
block that has so many frames more at its ends gives the same activations as the whole recording.
Means and attention see all frames. For these, each block adds its part to sums, and the encoder
stops there (``Unfinished``). After a pass over all blocks the sums are complete. The next pass gets
them as if it had seen the whole recording, and stops at the next operation of this kind.

So n such operations take n passes and one block more. A pass is short if its operation comes early
in the network. A ``Block`` takes the place of ``lengths`` and of the masks made from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


class Unfinished(Exception):
    """A block has added its part to sums that other blocks must still complete."""


class Sums:
    """The sums over all frames of one recording, float64, in the order in which they are needed."""

    def __init__(self) -> None:
        self.known: list[tuple[Tensor, ...]] = []
        self.parts: dict[str, Tensor] = {}

    def finish_pass(self) -> None:
        """Keep the sums of the pass that has ended."""
        self.known.append(_results(self.parts))
        self.parts = {}

    def add(self, **parts: Tensor) -> None:
        """Add the part of one block."""
        for name, part in parts.items():
            self.parts[name] = part if name not in self.parts else self.parts[name] + part

    def add_weighted(self, highest: Tensor, **parts: Tensor) -> None:
        """Add parts that are scaled by exp(-highest); rescale if ``highest`` is a new maximum."""
        before = self.parts.get("highest")
        if before is not None:
            new = torch.maximum(before, highest)
            for name in parts:
                self.parts[name] = self.parts[name] * (before - new).exp()
            parts = {name: part * (highest - new).exp() for name, part in parts.items()}
            highest = new
        self.parts["highest"] = highest
        self.add(**parts)


def _results(parts: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Return (mean,) or (mean, variance)."""
    mean = parts["first"] / parts["count"]
    if "second" not in parts:
        return (mean,)
    return mean, (parts["second"] / parts["count"] - mean.square()).clamp_min(0.0)


@dataclass
class Block:
    """Some frames of a recording; those from ``start`` to ``stop`` count, the others are context.

    start, stop: in frames of the block's input. ``start`` is a multiple of the encoder's ``hop``.
    step: input frames between two frames of the activations.
    """

    sums: Sums
    start: int
    stop: int
    step: int = 1
    used: list[int] = field(default_factory=lambda: [0])
    """How many sums this block has asked for; shared by the blocks that ``strided`` makes of it."""

    def strided(self, stride: int) -> Block:
        """Return the block as a convolution with this stride leaves it."""
        return Block(self.sums, self.start, self.stop, self.step * stride, self.used)

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean over all frames of the recording: ``x`` with one frame."""
        return self._known(x, lambda own: {"first": own.sum(3, keepdim=True)})[0]

    def mean_and_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance over all frames of the recording, each with one frame."""
        found = self._known(
            x,
            lambda own: {
                "first": own.sum(3, keepdim=True),
                "second": own.square().sum(3, keepdim=True),
            },
        )
        return found[0], found[1]

    def attended(self, x: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of ``x`` weighted by the softmax of ``logits`` over all frames.

        x: ``(batch, channels, bands, frames)``; logits: the same, or with one channel.
        """
        if self._next() is None:
            own, own_logits = self._own(x), self._own(logits)
            highest = own_logits.amax(3, keepdim=True)
            weights = (own_logits - highest).exp()
            self.sums.add_weighted(
                highest,
                count=weights.sum(3, keepdim=True),
                first=(weights * own).sum(3, keepdim=True),
                second=(weights * own.square()).sum(3, keepdim=True),
            )
            raise Unfinished
        mean, variance = self._take(x)
        return mean, variance

    def _known(self, x: Tensor, parts) -> tuple[Tensor, ...]:
        if self._next() is None:
            own = self._own(x)
            count = torch.tensor(float(own.shape[3]), dtype=own.dtype, device=own.device)
            self.sums.add(count=count, **parts(own))
            raise Unfinished
        return self._take(x)

    def _next(self) -> tuple[Tensor, ...] | None:
        place = self.used[0]
        return self.sums.known[place] if place < len(self.sums.known) else None

    def _take(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self._next() or ()
        self.used[0] += 1
        kind = torch.promote_types(x.dtype, torch.float32)
        return tuple(value.to(kind) for value in found)

    def _own(self, x: Tensor) -> Tensor:
        """Return the frames of ``x`` that count, in float64."""
        return x[..., -(-self.start // self.step) : -(-self.stop // self.step)].double()
