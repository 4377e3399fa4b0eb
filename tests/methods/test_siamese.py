"""Methods that compare two crops of each utterance: what enters their losses, and what moves."""

import copy

import pytest
import torch

from sv.errors import InputError
from sv.losses import (
    angular_contrastive_loss,
    iterative_whitening,
    label_efficient_loss,
    lim_loss,
    simsiam_loss,
    vibcreg_loss,
    w_mse_loss,
)
from sv.methods.angular import Angular, AngularConfig
from sv.methods.barlow_twins import BarlowTwins, BarlowTwinsConfig
from sv.methods.byol import BYOL, BYOLConfig
from sv.methods.draws import Draws
from sv.methods.label_efficient import LabelEfficient, LabelEfficientConfig
from sv.methods.lim import LIM, LIMConfig
from sv.methods.simsiam import SimSiam, SimSiamConfig
from sv.methods.vibcreg import VIbCReg, VIbCRegConfig
from sv.methods.w_mse import WMSE, WMSEConfig


def projections(method, views):
    """Return the outputs of the projector for both crops."""
    method = copy.deepcopy(method)
    return method.projector(method.encoder(views.crops["views"].flatten(0, 1))).chunk(2)


def test_simsiam_predicts_its_own_output_for_the_other_crop(encoder, make_views):
    method = SimSiam(encoder, SimSiamConfig(projector=[7, 5], predictor=[3])).train()
    views = make_views(method)
    first, second = projections(method, views)
    predictions = copy.deepcopy(method).predictor(torch.cat([first, second])).chunk(2)
    expected = simsiam_loss(predictions[0], second) + simsiam_loss(predictions[1], first)
    loss, stats = method.training_step(views)
    torch.testing.assert_close(loss, expected / 2)
    assert 0.5 < stats["std"] <= 1.1  # spread over the sphere
    loss.backward()
    assert all(weight.grad is not None for weight in method.parameters())


@pytest.mark.parametrize(
    ("method", "config"), [(SimSiam, SimSiamConfig), (BYOL, BYOLConfig)], ids=["simsiam", "byol"]
)
def test_targets_have_no_gradient(encoder, make_views, method, config):
    method = method(encoder, config(projector=[7, 5], predictor=[3])).train()
    seen = []
    method.substitute = lambda targets, views: seen.append(targets) or targets
    method.training_step(make_views(method))
    assert seen[0].shape == (8, 2, 5) and not seen[0].requires_grad


def test_vibcreg_whitens_each_view(encoder, make_views):
    method = VIbCReg(encoder, VIbCRegConfig(projector=[7, 6], groups=2)).train()
    with torch.no_grad():
        method.weight.mul_(0.5)
    views = make_views(method)
    z1, z2 = (0.5 * iterative_whitening(z, groups=2) for z in projections(method, views))
    loss, stats = method.training_step(views)
    torch.testing.assert_close(loss, vibcreg_loss(z1, z2))
    loss.backward()
    assert method.weight.grad is not None and stats["std"] > 0


def test_w_mse_divides_a_batch_anew_in_every_step(encoder, make_views):
    config = WMSEConfig(projector=[7, 2], whitening_size=4, whitening_draws=2)
    method = WMSE(encoder, config).train()
    views = make_views(method)
    z1, z2 = projections(method, views)
    orders = [torch.randperm(8, generator=torch.Generator().manual_seed(n)) for n in (0, 1)]
    expected = sum(w_mse_loss(z1, z2, parts=order.chunk(2)) for order in orders) / 2
    torch.testing.assert_close(method.training_step(views)[0], expected)
    assert method.draws.count == 2
    with pytest.raises(InputError, match="a batch of 2 cannot be whitened in 2 dimensions"):
        method.training_step(make_views(method, batch=2))


def test_a_batch_that_cannot_be_whitened_is_told(encoder, make_views):
    method = WMSE(encoder, WMSEConfig(projector=[7, 2], whitening_size=4)).train()
    with torch.no_grad():
        for weight in method.projector.parameters():
            weight.zero_()
    with pytest.raises(InputError, match="covariance of the outputs is singular"):
        method.training_step(make_views(method))


def test_label_efficient_acts_on_both_spaces(encoder, make_views):
    config = LabelEfficientConfig(projector=[7, 5], temperature=0.3)
    method = LabelEfficient(encoder, config).train()
    views = make_views(method)
    z = projections(method, views)
    y = copy.deepcopy(method).encoder(views.crops["views"].flatten(0, 1)).chunk(2)
    loss, stats = method.training_step(views)
    torch.testing.assert_close(loss, label_efficient_loss(y, z, temperature=0.3))
    assert stats["std"] == pytest.approx(float(z[0].detach().std(dim=0).mean()), rel=1e-5)
    assert method.positive_shape == (11,)


def test_both_on_embeddings_needs_no_projector(encoder, make_views):
    method = LabelEfficient(encoder, LabelEfficientConfig(composition=3)).train()
    assert not list(method.projector.parameters())
    loss, _ = method.training_step(make_views(method))
    loss.backward()


def test_angular_takes_angles_of_embeddings(encoder, make_views):
    method = Angular(encoder, AngularConfig(projector=[7, 5], alpha=0.4)).train()
    views = make_views(method)
    z = projections(method, views)
    y = copy.deepcopy(method).encoder(views.crops["views"].flatten(0, 1)).chunk(2)
    loss, _ = method.training_step(views)
    torch.testing.assert_close(loss, angular_contrastive_loss(z, y, alpha=0.4))


@pytest.mark.parametrize("bound", ["nce", "bce", "mine"])
def test_lim_shifts_the_batch_by_another_number_in_every_step(encoder, make_views, bound):
    method = LIM(encoder, LIMConfig(projector=[7, 5], bound=bound)).train()
    views = make_views(method)
    z1, z2 = projections(method, views)
    shift = Draws().number(1, 8)
    loss, stats = method.training_step(views)
    torch.testing.assert_close(loss, lim_loss(z1, z2, torch.arange(8).roll(shift), kind=bound))
    alike = torch.ones(8, 5)
    assert stats["chance"] == pytest.approx(
        float(lim_loss(alike, alike, torch.arange(8), kind=bound)), rel=1e-5, abs=1e-6
    )
    assert method.draws.count == 1


def test_defaults_are_those_of_the_reference_toolkit():
    assert BarlowTwinsConfig().projector == [2048, 2048, 512]
    assert (BarlowTwinsConfig().redundancy, BarlowTwinsConfig().scale) == (0.005, 0.025)
    assert (SimSiamConfig().projector, SimSiamConfig().predictor) == ([2048, 2048, 512], [512])
    assert (WMSEConfig().projector, WMSEConfig().whitening_size) == ([1024, 64], 128)
    assert VIbCRegConfig().weights == {"inv": 1.0, "var": 1.0, "cov": 8.0}


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (BarlowTwinsConfig, {"scale": 0.0}, "scale must be above 0"),
        (SimSiamConfig, {"predictor": []}, "predictor needs a hidden layer"),
        (VIbCRegConfig, {"projector": [8, 6], "groups": 4}, "must be a multiple of groups, 4"),
        (VIbCRegConfig, {"iterations": 0}, "at least 1"),
        (WMSEConfig, {"whitening_size": 64}, "must be above the last size of projector, 64"),
        (LabelEfficientConfig, {"composition": 5}, "composition must be 1, 2, 3 or 4"),
        (AngularConfig, {"alpha": 1.5}, "alpha must be from 0 to 1"),
        (AngularConfig, {"divisor": 0.0}, "divisor must be above 0"),
        (WMSEConfig, {"whitening_eps": 1.0}, "whitening_eps 0 to below 1"),
    ],
)
def test_impossible_settings(config, change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)


def test_barlow_twins_has_a_gradient_for_all_weights(encoder, make_views):
    method = BarlowTwins(encoder, BarlowTwinsConfig(projector=[7, 5])).train()
    loss, _ = method.training_step(make_views(method))
    loss.backward()
    assert all(weight.grad is not None for weight in method.parameters())
