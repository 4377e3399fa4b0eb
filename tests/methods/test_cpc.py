"""CPC: what its windows are, what enters its loss, and bad settings."""

import copy

import pytest
import torch

from sv.crops.groups import DataConfig
from sv.errors import InputError
from sv.losses import cpc_loss
from sv.methods.cpc import CPC, CPCConfig


@pytest.fixture
def method(encoder):
    return CPC(encoder, CPCConfig(windows=4, steps=2, context=5)).train()


def test_the_end_of_the_second_crop_is_predicted_from_the_beginning_of_the_first(
    method, make_views
):
    views = make_views(method)  # 10 frames: 4 windows of 2, and 2 frames are left out
    same = copy.deepcopy(method)
    first, second = views.crops["views"]
    pieces = [first[:, 0:2], first[:, 2:4], second[:, 4:6], second[:, 6:8]]
    found = same.encoder(torch.stack(pieces, dim=1).flatten(0, 1)).unflatten(0, (8, 4))
    states, _ = same.aggregator(found[:, :2])
    predictions = torch.stack([predict(states[:, -1]) for predict in same.predictors], dim=2)
    loss, stats = method.training_step(views)
    torch.testing.assert_close(loss, cpc_loss(predictions, found[:, 2:].transpose(1, 2)))
    assert stats["chance"] == pytest.approx(2.0794415)
    loss.backward()
    assert all(weight.grad is not None for weight in method.parameters())


def test_ssps_replaces_the_future(method, make_views):
    seen = []
    method.substitute = lambda future, views: seen.append(future) or future * 0
    loss, stats = method.training_step(make_views(method))
    assert seen[0].shape == (8, *method.positive_shape) == (8, 2, 6)
    assert float(loss.detach()) == pytest.approx(stats["chance"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 8}, "steps must be from 1 to below windows, 8"),
        ({"context": 0}, "context must be at least 1"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        CPCConfig(**change)


def test_a_crop_that_is_too_short_for_the_windows_is_refused(method):
    with pytest.raises(InputError, match=r"has 3 frames, too few for 4 windows of 1 or more"):
        method.crop_groups(DataConfig(crop_seconds=0.03))
