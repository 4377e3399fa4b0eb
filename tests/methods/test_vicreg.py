import copy

import pytest
import torch

from sv.losses import vicreg_loss
from sv.methods.vicreg import VICReg, VICRegConfig


def test_defaults_are_the_published_ones():
    config = VICRegConfig()
    assert (config.invariance, config.variance, config.covariance) == (1.0, 1.0, 0.04)
    assert config.projector == [2048, 2048, 512]


def test_loss_is_that_of_both_projected_views(encoder, make_views):
    weights = {"invariance": 2.0, "variance": 0.5, "covariance": 0.1}
    method = VICReg(encoder, VICRegConfig(projector=[7, 5], **weights)).train()
    views = make_views(method)
    reference = copy.deepcopy(method)
    loss, stats = method.training_step(views)
    z1, z2 = reference.projector(reference.encoder(views.crops["views"].flatten(0, 1))).chunk(2)
    torch.testing.assert_close(loss, vicreg_loss(z1, z2, inv=2.0, var=0.5, cov=0.1))
    assert stats["std"] == pytest.approx(float(z1.detach().std(dim=0).mean()), rel=1e-5)
    loss.backward()
    assert all(weight.grad is not None for weight in method.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"variance": -1.0}, "variance"), ({"projector": [8, 0]}, "projector")],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        VICRegConfig(**change)
