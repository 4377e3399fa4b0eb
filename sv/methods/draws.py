"""Random numbers of a method, which resuming and several processes do not change."""

import torch
from torch import nn


class Draws(nn.Module):
    """Generators whose seeds are the number of draws so far, which is part of the state.

    So every process draws the same, and no state of a generator has to be saved or sent.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def next(self) -> torch.Generator:
        """Return the generator of this draw, for the processor."""
        generator = torch.Generator().manual_seed(int(self.count))
        self.count += 1
        return generator
