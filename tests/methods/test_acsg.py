"""ACSG against the equation with weighted negatives, and against SimCLR."""

import pytest
import torch
import torch.nn.functional as F

from sv.methods import build_method
from sv.methods.acsg import ACSGConfig
from sv.methods.simclr import SimCLRConfig

SETTINGS = {"temperature": 0.2, "margin": 0.1, "margin_type": "am"}


def guided(clean, augmented, weight, temperature=0.2):
    """ℓ(c, a) of the module's equation, one pair at a time."""
    clean, augmented, total = F.normalize(clean), F.normalize(augmented), 0.0
    for i in range(len(clean)):
        e = [torch.exp(clean[i] @ other / temperature) for other in augmented]
        negatives = sum(value for j, value in enumerate(e) if j != i)
        total = total - torch.log(e[i] / (e[i] + weight * negatives))
    return total / len(clean)


@pytest.mark.parametrize("weight", [1.0, 5.0])
def test_value_and_gradient_are_those_of_weighted_negatives(encoder, make_views, weight):
    encoder.double()
    base = build_method(encoder, SimCLRConfig(**SETTINGS)).double()
    config = ACSGConfig(**SETTINGS, clean_weight=0.7, negative_weight=weight)
    method = build_method(encoder, config).double()
    views = make_views(method)
    views.crops = {name: crops.double() for name, crops in views.crops.items()}
    weights = list(encoder.parameters())
    loss, stats = method.training_step(views)
    plain, plain_stats = base.training_step(views)
    first, second = encoder(views.crops["views"].flatten(0, 1)).chunk(2)
    clean = encoder(views.crops["clean"][0])
    naive = plain + 0.35 * (guided(clean, first, weight) + guided(clean, second, weight))
    torch.testing.assert_close(loss, naive)
    for a, b in zip(*(torch.autograd.grad(x, weights) for x in (loss, naive)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-12)
    assert stats["chance"] > plain_stats["chance"] and stats["embeddings"].shape == (16, 6)


def test_the_chance_level_is_the_loss_of_embeddings_that_are_alike(encoder, make_views):
    method = build_method(encoder, ACSGConfig(**SETTINGS))
    views = make_views(method)
    torch.nn.init.zeros_(encoder.layers[1].weight)
    torch.nn.init.ones_(encoder.layers[1].bias)
    loss, stats = method.training_step(views)
    assert loss.item() == pytest.approx(float(stats["chance"]), rel=1e-5)


@pytest.mark.parametrize("wrong", [{"clean_weight": -0.1}, {"negative_weight": 0.5}])
def test_weights_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="clean_weight must not be negative"):
        ACSGConfig(**wrong)
