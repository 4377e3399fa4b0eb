"""Random numbers of a method, which resuming and several processes do not change."""

import random

import torch
from torch import nn


class Draws(nn.Module):
    """Generators whose seeds are the number of draws so far, which is part of the state.

    So every process draws the same, and no state of a generator has to be saved or sent. The number
    is no buffer, because reading a buffer would make a GPU wait.
    """

    def __init__(self):
        super().__init__()
        self.count = 0

    def get_extra_state(self) -> dict[str, int]:
        """Return what resuming needs."""
        return {"count": self.count}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Take up what ``get_extra_state`` returned."""
        self.count = state["count"]

    def next(self, device: torch.device) -> torch.Generator:
        """Return the generator of this draw, for a device. A GPU draws other numbers than a CPU."""
        self.count += 1
        return torch.Generator(device).manual_seed(self.count - 1)

    def number(self, low: int, high: int) -> int:
        """Return a number of this draw, from ``low`` to below ``high``."""
        self.count += 1
        return random.Random(self.count - 1).randrange(low, high)
