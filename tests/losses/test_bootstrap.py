import pytest
import torch

from sv.losses import byol_loss, simsiam_loss


def naive_byol(p, z):
    total = 0.0
    for a, b in zip(p, z, strict=True):
        a, b = a / a.square().sum().sqrt(), b / b.square().sum().sqrt()
        total = total + (a - b).square().sum()
    return total / len(p)


def test_value_and_gradient_equal_the_naive_loop(draw, assert_same):
    target = draw(7, 5)
    assert_same(lambda p: byol_loss(p, target), lambda p: naive_byol(p, target), draw(7, 5) * 3)


def test_no_gradient_flows_into_the_target(draw):
    prediction, target = draw(4, 3).requires_grad_(), draw(4, 3).requires_grad_()
    byol_loss(prediction, target).backward()
    assert prediction.grad is not None and target.grad is None


def test_equals_independent_implementation(assert_relative):
    def loss(p1, p2, given):
        return byol_loss(p1, given["z2"]) + byol_loss(p2, given["z1"])

    assert_relative("byol", "one_direction", lambda p, given: byol_loss(p, given["z2"]), "p1")
    assert_relative("byol", "loss", loss, "p1", "p2")


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="must both be"):
        byol_loss(torch.zeros(2, 3), torch.zeros(3, 3))


def naive_simsiam(p, z):
    total = 0.0
    for a, b in zip(p, z, strict=True):
        total = total - (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()
    return total / len(p)


def test_simsiam_equals_the_naive_loop(draw, assert_same):
    z = draw(7, 5)
    assert_same(lambda p: simsiam_loss(p, z), lambda p: naive_simsiam(p, z), draw(7, 5) * 3)


def test_simsiam_equals_independent_implementation(assert_relative):
    def loss(p1, p2, given):
        return (simsiam_loss(p1, given["z2"]) + simsiam_loss(p2, given["z1"])) / 2

    assert_relative("simsiam", "one_direction", lambda p, given: simsiam_loss(p, given["z2"]), "p1")
    assert_relative("simsiam", "loss", loss, "p1", "p2")
