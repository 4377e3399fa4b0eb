import math

import pytest
import torch

from sv.losses import AdaptiveMargin, nt_xent
from sv.losses.margins import MARGINS, MarginState, check_margin, magface_regulariser, usual_margin
from sv.methods.contrastive import MarginOptions

NORMS = torch.linspace(1.0, 5.0, 400, dtype=torch.float64)


@pytest.mark.parametrize("margin_type", list(MARGINS))
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 2.0])
def test_a_margin_falls_with_the_angle_and_only_takes(margin_type, strength):
    kind = MARGINS[margin_type]
    angle = torch.linspace(0.0, math.pi, 400, dtype=torch.float64)
    shifted = kind.shift(
        angle.cos(), kind.smallest + strength, torch.full_like(angle, 3.0), MarginState()
    )
    assert (shifted.diff() < 1e-9).all()
    assert (shifted <= angle.cos() + 1e-5).all()
    if strength == 0.0:
        torch.testing.assert_close(shifted, angle.cos(), rtol=0, atol=1e-5)


def test_magface_asks_more_of_long_embeddings():
    state = MarginState(norm_range=(2.0, 4.0))
    cosine = torch.full_like(NORMS, 0.5)
    shifted = MARGINS["magface"].shift(cosine, 0.8, NORMS, state)
    expected = torch.tensor([math.cos(math.pi / 3 + 0.45), math.cos(math.pi / 3 + 0.8)])
    torch.testing.assert_close(shifted[[0, -1]], expected.double())
    assert (shifted.diff() <= 0).all()


def test_adaface_standardises_lengths():
    state = MarginState(norm_mean=torch.tensor(3.0), norm_std=torch.tensor(0.1))
    cosine = torch.full_like(NORMS, 0.5)
    shifted = MARGINS["adaface"].shift(cosine, 0.2, NORMS, state)
    expected = torch.tensor([math.cos(math.pi / 3 + 0.2), math.cos(math.pi / 3 - 0.2) - 0.4])
    torch.testing.assert_close(shifted[[0, -1]], expected.double())


def test_magface_regulariser_is_smallest_at_the_upper_length():
    values = [magface_regulariser(torch.tensor([a])).item() for a in (10.0, 50.0, 109.0, 110.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(2 / 110)


def test_schedule_rises_along_a_cosine():
    margin = AdaptiveMargin("aam", 0.2, warmup=0.5)
    values = [margin.value(share) for share in (0.0, 0.125, 0.25, 0.5, 1.0)]
    assert values == pytest.approx([0.0, 0.1 * (1 - math.cos(math.pi / 4)), 0.1, 0.2, 0.2])
    sphere = AdaptiveMargin("sphereface", 1.4, warmup=0.5)
    assert [sphere.value(share) for share in (0.0, 0.25, 0.5)] == pytest.approx([1.0, 1.2, 1.4])


def test_statistics_follow_the_batches_while_training():
    z1, z2 = torch.randn(2, 6, 4).unbind()
    margin = AdaptiveMargin("curricularface", 0.1)
    cosine = torch.cosine_similarity(z1, z2).mean()
    for times in (1, 2):
        state = margin(z1, z2)["margin_state"]
        torch.testing.assert_close(state.hardness, cosine * (1 - 0.99**times))
    margin.eval()
    margin(z1, z2)
    torch.testing.assert_close(margin.hardness, cosine * (1 - 0.99**2))
    norms = torch.cat([z1, z2]).norm(dim=1)
    margin = AdaptiveMargin("adaface", 0.1)
    state = margin(z1, z2)["margin_state"]
    torch.testing.assert_close(state.norm_mean, 0.99 * 20 + 0.01 * norms.mean())
    torch.testing.assert_close(state.norm_std, 0.99 * 100 + 0.01 * norms.std())
    again = AdaptiveMargin("adaface", 0.1)
    again.load_state_dict(margin.state_dict())  # what resuming does
    torch.testing.assert_close(again.norm_mean, margin.norm_mean, rtol=0, atol=0)
    assert not AdaptiveMargin("am", 0.1).state_dict()


def test_a_learned_margin_is_pushed_both_ways():
    z1, z2 = torch.randn(2, 6, 4).unbind()
    margin = AdaptiveMargin("am", 0.1, learnable=True, reward=2.0)
    (down,) = torch.autograd.grad(nt_xent(z1, z2, temperature=0.1, **margin(z1, z2)), margin.margin)
    (up,) = torch.autograd.grad(margin.penalty(z1), margin.margin)
    assert down > 0
    assert up == -2.0


def test_magface_adds_its_regulariser():
    z = 50 * torch.ones(3, 1)
    margin = AdaptiveMargin("magface", 0.8, regulariser=35.0)
    assert margin.penalty(z).item() == pytest.approx(35 * (50 / 110**2 + 1 / 50))
    assert AdaptiveMargin("am", 0.1).penalty(z) == 0.0


@pytest.mark.parametrize(
    ("margin_type", "margin", "message"),
    [
        ("none", 0.1, "margin is 0.1 but margin_type is none, which has no margin: set margin"),
        ("am", -0.1, "at least 0.0"),
        ("sphereface", 0.2, "at least 1.0, since it multiplies the angle"),
        ("cosface", 0.2, "choose one of none, am"),
    ],
)
def test_a_margin_that_means_nothing_is_refused(margin_type, margin, message):
    with pytest.raises(ValueError, match=message):
        check_margin(margin_type, margin)


def test_settings_of_a_margin():
    for margin_type in MARGINS:
        assert MarginOptions(margin_type=margin_type).margin == usual_margin(margin_type)
    assert MarginOptions(margin=0.0, margin_type="none").margin == 0.0
    with pytest.raises(ValueError, match="has no margin"):
        MarginOptions(margin=0.1, margin_type="none")
    with pytest.raises(ValueError, match="no margin to learn"):
        MarginOptions(margin_type="none", margin_warmup=0.5)
    with pytest.raises(ValueError, match="share from 0 to 1"):
        MarginOptions(margin_warmup=2.0)
    with pytest.raises(ValueError, match="two lengths"):
        MarginOptions(margin_norms=[3.0])
    options = MarginOptions(margin=0.3, margin_type="aam", margin_warmup=0.5)
    assert options.build_margin().value(0.25) == pytest.approx(0.15)
