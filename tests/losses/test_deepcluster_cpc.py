"""The losses of DeepCluster and CPC: naive loops, independent implementations, wrong use."""

import math

import pytest
import torch

from sv.losses import cpc_loss, deepcluster_loss

OWN = [torch.tensor([1, 0, -1, 3]), torch.tensor([2, -1, -1, 0])]


def naive_deepcluster(heads, clusters, temperature):
    total = 0.0
    for scores, own in zip(heads, clusters, strict=True):
        lost = []
        for view in scores:
            for i, k in enumerate(own.tolist()):
                if k >= 0:
                    e = (view[i] / temperature).exp()
                    lost.append(-(e[k] / e.sum()).log())
        total = total + sum(lost) / len(lost)
    return total / len(heads)


def test_deepcluster_equals_the_naive_loop_with_heads_of_other_sizes(draw, assert_same):
    assert_same(
        lambda a, b: deepcluster_loss([a, b], OWN, temperature=0.4),
        lambda a, b: naive_deepcluster([a, b], OWN, 0.4),
        *(draw(2, 4, 5), draw(2, 4, 3)),
    )
    alike = [torch.ones(2, 4, 5), torch.ones(2, 4, 3)]
    assert float(deepcluster_loss(alike, OWN)) == pytest.approx((math.log(5) + math.log(3)) / 2)
    assert float(deepcluster_loss(alike, [OWN[0] * 0 - 1] * 2)) == 0  # nobody has a cluster


@pytest.mark.parametrize(
    ("key", "clusters"),
    [("loss", "assignments"), ("loss_with_ignored", "assignments_with_ignored")],
)
def test_deepcluster_equals_independent_implementation(assert_relative, key, clusters):
    def loss(preds, given):
        return deepcluster_loss(list(preds), list(given[clusters]))

    assert_relative("deepcluster", key, loss, "preds")


def naive_cpc(predictions, future):
    items, _, steps = predictions.shape
    total = 0.0
    for t in range(steps):
        for i in range(items):
            e = [torch.exp(predictions[i, :, t] @ future[j, :, t]) for j in range(items)]
            total = total - torch.log(e[i] / sum(e))
    return total / (items * steps)


def test_cpc_equals_the_naive_loop(draw, assert_same):
    assert_same(cpc_loss, naive_cpc, draw(4, 3, 2), draw(4, 3, 2))
    alike = torch.ones(4, 3, 2)
    assert float(cpc_loss(alike, alike)) == pytest.approx(math.log(4))


def test_cpc_equals_independent_implementation(assert_relative):
    assert_relative(
        "cpc",
        "loss_from_predictions",
        lambda predictions, given: cpc_loss(predictions, given["future"]),
        "predictions",
    )

    def with_layers(context, future, weights, given):
        predictions = torch.einsum("tdc,nc->ndt", weights, context)
        return cpc_loss(predictions + given["predictor_biases"].T, future)

    assert_relative("cpc", "loss", with_layers, "context", "future", "predictor_weights")


def test_wrong_use_is_named():
    z = torch.ones(2, 4, 3)
    with pytest.raises(ValueError, match="1 heads have scores, and 2 have clusters"):
        deepcluster_loss([z], OWN)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        deepcluster_loss([z], OWN[:1], temperature=0.0)
    with pytest.raises(ValueError, match="must both be"):
        cpc_loss(z, z[1:])
