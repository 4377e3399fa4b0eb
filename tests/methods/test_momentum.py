"""Followers: moved together, with the bits of a loop over their weights."""

import pytest
import torch
from torch import nn

from sv.methods.momentum import follow, follower


def networks():
    torch.manual_seed(0)
    source = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    target = follower(source)
    for _ in range(3):
        source(torch.randn(8, 3))
    with torch.no_grad():
        for weight in source.parameters():
            weight.add_(torch.randn_like(weight))
    return target, source


@pytest.mark.parametrize("steps", [None, 4])
def test_bits_of_a_loop(steps):
    target, source = networks()
    expected = {name: value.clone() for name, value in target.state_dict().items()}
    buffers = {name for name, _ in target.named_buffers()}
    for name, value in source.state_dict().items():
        if name not in buffers:
            expected[name].lerp_(value, 1.0 - 0.9)
        elif steps is not None and value.is_floating_point():
            share = 1.0 - ((1.0 + torch.tensor(steps)) / (10.0 + steps)).clamp_max(0.9)
            expected[name].lerp_(value, share)
        elif steps is not None:
            expected[name].copy_(value)
    follow(target, source, 0.9, None if steps is None else torch.tensor(steps))
    for name, value in target.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert (target[1].num_batches_tracked == 3) == (steps is not None)


def test_a_head_without_layers_and_another_network():
    follow(nn.Sequential(), nn.Sequential(), 0.9)
    with pytest.raises(RuntimeError, match="same number of tensors"):
        follow(nn.Linear(1, 1, bias=False), nn.Linear(1, 1), 0.9)
