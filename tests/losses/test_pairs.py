"""Losses on pairs of crops: label-efficient compositions, angles, mutual information."""

import pytest
import torch

from sv.losses import (
    COMPOSITIONS,
    angular_contrastive_loss,
    angular_pair_loss,
    label_efficient_loss,
    lim_loss,
    nt_xent,
    vicreg_loss,
)


def cosine(a, b):
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


# ---------------------------------------------------------------- label-efficient


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_a_composition_is_the_sum_of_its_parts(draw, assert_same, composition):
    """On which space each acts, and with which weight, is written out here."""
    first, second, weight = {
        1: (1, 0, 1.0),
        2: (0, 1, 1.0),
        3: (0, 0, 0.1),
        4: (1, 1, 0.1),
    }[composition]

    def naive(y1, y2, z1, z2):
        a, b = ((y1, y2), (z1, z2))[first], ((y1, y2), (z1, z2))[second]
        total = 0.0
        for i in range(5):
            logits = torch.stack([cosine(a[0][i], a[1][j]) / 0.3 for j in range(5)])
            total = total + logits.exp().sum().log() - logits[i]
        return total / 5 + weight * vicreg_loss(*b, cov=0.2)

    def ours(y1, y2, z1, z2):
        how = {"composition": composition, "temperature": 0.3, "cov": 0.2}
        return label_efficient_loss((y1, y2), (z1, z2), **how)

    assert_same(ours, naive, draw(5, 4), draw(5, 4), draw(5, 6), draw(5, 6))


@pytest.mark.parametrize(
    ("key", "composition", "inputs"),
    [
        ("2022_comp1_vicreg_on_y_infonce_on_z", 1, "yz"),
        ("2022_comp2_infonce_on_y_vicreg_on_z", 2, "yz"),
        ("2022_comp3_infonce_and_0.1vicreg_on_y", 3, "y"),
        ("2022_comp4_infonce_and_0.1vicreg_on_z", 4, "z"),
    ],
)
def test_compositions_equal_independent_implementations(assert_relative, key, composition, inputs):
    def loss(*given):
        *tensors, given = given
        one = {**given, **dict(zip(names, tensors, strict=True))}
        pairs = (one["y1"], one["y2"]), (one["z1"], one["z2"])
        return label_efficient_loss(*pairs, composition=composition)

    names = [f"{letter}1" for letter in inputs]
    assert_relative("label_efficient", key, loss, *names)


def test_parts_equal_independent_implementations(assert_relative):
    def infonce(y1, y2, given):
        return nt_xent(y1, y2, temperature=0.2, symmetric=False)

    def small(y1, given):
        return vicreg_loss(y1, given["y2"])

    assert_relative("label_efficient", "infonce_tau0.2", infonce, "y1", "y2")
    assert_relative("label_efficient", "vicreg_1_1_0.04_small", small, "y1_small")


# ---------------------------------------------------------------- angles


def naive_angles(z1, z2, margin, divisor):
    z, total = torch.cat([z1, z2]), 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            if i == j:
                continue
            angle = torch.acos(cosine(z[i], z[j]))
            if (i - j) % len(z1) == 0:
                total = total + angle**2
            elif angle < margin:
                total = total + (margin - angle) ** 2
    return total / divisor


def test_angles_equal_the_naive_loop(draw, assert_same):
    assert_same(
        lambda a, b: angular_pair_loss(a, b, margin=1.2, divisor=7.0),
        lambda a, b: naive_angles(a, b, 1.2, 7.0),
        *(draw(6, 3), draw(6, 3)),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_angular_equals_independent_implementation(assert_relative, alpha):
    def loss(e1, e2, given):
        return angular_contrastive_loss((e1, e2), (e1, e2), alpha=alpha)

    assert_relative("acl", f"loss_alpha{alpha}", loss, "e1", "e2")


def test_equal_rows_have_a_finite_gradient():
    z = torch.ones(3, 4, requires_grad=True)
    angular_pair_loss(z, z).backward()
    assert z.grad.isfinite().all()


# ---------------------------------------------------------------- mutual information


def naive_lim(z1, z2, negatives, kind):
    size, total = len(z1), 0.0
    far = [cosine(z1[i], z2[negatives[i]]) for i in range(size)]
    for i in range(size):
        near = cosine(z1[i], z2[i])
        if kind == "bce":
            total = total - near.sigmoid().log() - (1 - far[i].sigmoid()).log()
        elif kind == "mine":
            total = total - near
        else:
            total = total + (near.exp() + sum(n.exp() for n in far)).log() - near
    if kind == "mine":
        total = total + size * (sum(n.exp() for n in far) / size).log()
    return total / size


@pytest.mark.parametrize("kind", ["nce", "bce", "mine"])
def test_lim_equals_the_naive_loop_and_an_independent_implementation(
    draw, assert_same, assert_relative, kind
):
    negatives = torch.tensor([2, 0, 4, 1, 3])
    assert_same(
        lambda a, b: lim_loss(a, b, negatives, kind=kind),
        lambda a, b: naive_lim(a, b, negatives, kind),
        *(draw(5, 3), draw(5, 3)),
    )

    def loss(z1, z2, given):
        return lim_loss(z1, z2, given["negative_index"], kind=kind)

    assert_relative("lim", kind, loss, "z1", "z2")


def test_wrong_use_is_named():
    z = torch.ones(4, 2)
    with pytest.raises(ValueError, match="choose one of 1, 2, 3, 4"):
        label_efficient_loss((z, z), (z, z), composition=5)
    with pytest.raises(ValueError, match="must both be"):
        angular_pair_loss(z, z[1:])
    with pytest.raises(ValueError, match="choose one of nce, bce, mine"):
        lim_loss(z, z, torch.arange(4), kind="js")
    with pytest.raises(ValueError, match="must both be"):
        lim_loss(z, z[1:], torch.arange(4))
