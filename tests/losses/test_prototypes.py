import math

import pytest
import torch

from sv.losses import (
    koleo_loss,
    mean_entropy_gap,
    prototype_logits,
    rdino_regulariser,
    sharp_targets,
    target_cross_entropy,
)


def naive_probabilities(rows, prototypes, temperature):
    found = []
    for row in rows:
        cosines = torch.stack([row @ p / row.norm() / p.norm() for p in prototypes])
        found.append((cosines / temperature).exp() / (cosines / temperature).exp().sum())
    return torch.stack(found)


def naive_sinkhorn(q, iterations):
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(dim=0) / q.shape[1]
        q = q / q.sum(dim=1, keepdim=True) / len(q)
    return q * len(q)


def test_cross_entropy_and_use_equal_the_naive_loop(draw, assert_same):
    targets, prototypes = torch.softmax(draw(3, 5), dim=1), draw(5, 4)

    def naive(rows, prototypes):
        p, total = naive_probabilities(rows, prototypes, 0.3), 0.0
        for i in range(6):
            for k in range(5):
                total = total - targets[i % 3, k] * p[i, k].log() / 6
        mean = sum(p) / 6
        return total + 2.0 * (math.log(5) + sum(m * m.log() for m in mean))

    def ours(rows, prototypes):
        logits = prototype_logits(rows, prototypes, 0.3)
        return target_cross_entropy(logits, targets) + 2.0 * mean_entropy_gap(logits)

    assert_same(ours, naive, draw(6, 4), prototypes)


def test_targets_equal_the_naive_loop(draw):
    logits = prototype_logits(draw(4, 3), draw(6, 3))
    sharp = logits.exp() ** 4 / (logits.exp() ** 4).sum(dim=1, keepdim=True)
    torch.testing.assert_close(sharp_targets(logits), naive_sinkhorn(sharp, 3))


def test_koleo_equals_the_naive_loop(draw, assert_same):
    def naive(z):
        unit, total = torch.stack([row / row.norm() for row in z]), 0.0
        for i in range(len(z)):
            total = total - min((unit[i] - unit[j]).norm() for j in range(len(z)) if i != j).log()
        return total / len(z)

    assert_same(lambda z: koleo_loss(z), naive, draw(6, 3), rtol=1e-6, atol=1e-6)


def parts(given):
    """Return the targets, from the teacher's views."""
    known = prototype_logits(given["target_views"], given["prototypes"])
    torch.testing.assert_close(known.exp(), given["target_probabilities"], rtol=1e-5, atol=1e-7)
    targets = sharp_targets(known)
    torch.testing.assert_close(targets, given["targets"], rtol=1e-5, atol=1e-7)
    return targets


def test_sdpn_equals_independent_implementations(assert_relative):
    def cross_entropy(anchors, prototypes, given):
        return target_cross_entropy(prototype_logits(anchors, prototypes), parts(given))

    def plain(anchors, given):
        logits = prototype_logits(anchors, given["prototypes"])
        return target_cross_entropy(logits, given["sharpened"])

    def use(anchors, prototypes, given):
        return mean_entropy_gap(prototype_logits(anchors, prototypes))

    def spread(backbone, given):
        return sum(koleo_loss(view) for view in backbone.chunk(4))

    def total(anchors, prototypes, backbone, given):
        loss = cross_entropy(anchors, prototypes, given) + use(anchors, prototypes, given)
        return loss + 0.1 * spread(backbone, given)

    names = ("anchor_views", "prototypes")
    assert_relative("sdpn", "cross_entropy", cross_entropy, *names)
    assert_relative("sdpn", "cross_entropy_no_sinkhorn", plain, "anchor_views")
    assert_relative("sdpn", "me_max", use, *names)
    assert_relative("sdpn", "koleo_sum_of_4_views", spread, "backbone")
    assert_relative("sdpn", "total_1_1_0.1", total, *names, "backbone")


# ---------------------------------------------------------------- RDINO


def test_rdino_equals_the_naive_loop(draw, assert_same):
    def naive(rows):
        x = (rows[0] + rows[1]) / 2
        c, total = x.T.cov(), 0.0
        for d in range(4):
            for e in range(4):
                if d == e:
                    narrow = 1 - (c[d, d] + 1e-4).sqrt()
                    total = total + 3.0 * 0.5 * narrow.clamp_min(0) / 4
                else:
                    total = total + 2.0 * c[d, e] ** 2 / 7
        return total

    assert_same(lambda r: rdino_regulariser(r, outputs=7, std=3.0, cov=2.0), naive, draw(2, 5, 4))


@pytest.mark.parametrize(
    ("key", "weights"), [("std", (1, 0)), ("cov", (0, 1)), ("reg_10_1", (10, 1))]
)
def test_rdino_equals_an_independent_implementation(assert_relative, key, weights):
    def loss(student, teacher, given):
        how = {"outputs": int(given["out_dim"]), "std": weights[0], "cov": weights[1]}
        return sum(
            rdino_regulariser(rows.unflatten(0, (2, -1)), **how) for rows in (student, teacher)
        )

    assert_relative("rdino", key, loss, "student", "teacher")


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match=r"rows must be \(crops, N, D\)"):
        rdino_regulariser(torch.ones(3, 4), outputs=2)
