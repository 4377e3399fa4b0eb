"""A network of a few hundred weights, and batches for it."""

import pytest
import torch
from torch import nn

from sv.crops.groups import DataConfig
from sv.methods.base import Moment, Views

LATER = Moment(1.0, 10)


class TinyEncoder(nn.Module):
    """Mean over frames, a linear layer, batch norm: (batch, frames, mel) -> (batch, 6)."""

    embedding_dim = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6))

    def forward(self, features):
        return self.layers(features.mean(dim=1))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TinyEncoder()


@pytest.fixture(scope="session")
def make_views():
    """A function that draws the crops a method wants of ``batch`` utterances."""

    def make(method, batch=8, seed=0, moment=LATER):
        generator = torch.Generator().manual_seed(seed)
        groups = method.crop_groups(DataConfig(crop_seconds=0.1))
        crops = {
            group.name: torch.randn(group.count, batch, group.frames, 5, generator=generator)
            for group in groups
        }
        return Views(crops, torch.arange(batch), moment=moment)

    return make
