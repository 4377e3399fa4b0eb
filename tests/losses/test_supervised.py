import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.losses import LearnableTemperature, aam_softmax, h_scl, supcon

PAIRS = torch.tensor([4, 4, 7, 7, 1, 1, 0, 0])
SEVERAL = torch.tensor([4, 4, 4, 7, 7, 1, 0, 4])  # 1 and 0 are alone


def naive_aam(embeddings, weight, labels, scale, margin, sub_centers):
    total = 0.0
    for i, label in enumerate(labels.tolist()):
        cosines = [F.cosine_similarity(embeddings[i], row, dim=0) for row in weight]
        cosines = [max(cosines[c : c + sub_centers]) for c in range(0, len(weight), sub_centers)]
        angle = torch.acos(cosines[label])
        if angle < math.pi - margin:
            cosines[label] = torch.cos(angle + margin)
        else:
            cosines[label] = cosines[label] - margin * math.sin(math.pi - margin)
        logits = torch.stack(cosines) * scale
        total = total - torch.log(torch.exp(logits[label]) / torch.exp(logits).sum())
    return total / len(labels)


@pytest.mark.parametrize("sub_centers", [1, 3])
def test_aam_equals_the_naive_loop(draw, assert_same, sub_centers):
    labels = torch.tensor([0, 2, 2, 1, 0])
    weight = draw(3 * sub_centers, 5)
    embeddings = draw(5, 5)
    embeddings[0] = -weight[:sub_centers].sum(dim=0)  # beyond π − m
    options = {"scale": 9.0, "margin": 0.2, "sub_centers": sub_centers}
    assert_same(
        lambda e, w: aam_softmax(e, w, labels, **options),
        lambda e, w: naive_aam(e, w, labels, **options),
        embeddings,
        weight,
    )


def test_aam_equals_independent_implementation(assert_reference):
    assert_reference(
        lambda z, given: aam_softmax(
            z, given["aam_weight"], given["aam_labels"], scale=30.0, margin=0.2
        ),
        "aam_s30_m0.2",
    )


def naive_supcon(z, labels, temperature, beta=None):
    """SupCon; with ``beta`` H-SCL. Written from the equations, one pair at a time."""
    z = F.normalize(z)
    total, count, size = 0.0, 0, len(z)
    for i in range(size):
        positives = [p for p in range(size) if p != i and labels[p] == labels[i]]
        negatives = [n for n in range(size) if labels[n] != labels[i]]
        if not positives:
            continue
        count += 1
        for p in positives:
            if beta is None:
                top = torch.exp(z[i] @ z[p] / temperature)
                bottom = sum(torch.exp(z[i] @ z[a] / temperature) for a in range(size) if a != i)
            else:
                top = torch.exp(2 * z[i] @ z[p] / temperature)
                c = [torch.exp(2 * z[i] @ z[n] / temperature) for n in negatives]
                w = [x.detach() ** beta for x in c]
                mean = sum(a * b for a, b in zip(w, c, strict=True)) / sum(w)
                bottom = top + len(negatives) * mean
            total = total - torch.log(top / bottom) / len(positives)
    return total / count


@pytest.mark.parametrize("labels", [PAIRS, SEVERAL])
def test_supcon_equals_the_naive_loop(draw, assert_same, labels):
    assert_same(
        lambda z, t: supcon(z, labels, temperature=t),
        lambda z, t: naive_supcon(z, labels, t),
        draw(8, 5),
        torch.tensor(0.2, dtype=torch.float64),
    )


@pytest.mark.parametrize("labels", [PAIRS, SEVERAL])
@pytest.mark.parametrize("beta", [0.0, 0.1, 2.0])
def test_h_scl_equals_the_naive_loop(draw, assert_same, labels, beta):
    assert_same(
        lambda z, t: h_scl(z, labels, temperature=t, beta=beta),
        lambda z, t: naive_supcon(z, labels, t, beta),
        draw(8, 5),
        torch.tensor(0.2, dtype=torch.float64),
    )


def test_h_scl_without_weights_is_supcon_at_half_the_temperature():
    """β = 0: n_i S_i is the plain sum over the negatives, and c = e^{2cos/τ} = e^{cos/(τ/2)}."""
    z = torch.randn(8, 5)
    torch.testing.assert_close(
        h_scl(z, PAIRS, temperature=0.2, beta=0.0), supcon(z, PAIRS, temperature=0.1)
    )


def test_supcon_with_one_positive_each_is_nt_xent():
    from sv.losses import nt_xent

    z1, z2 = torch.randn(2, 6, 5).unbind()
    labels = torch.arange(6).repeat(2)
    torch.testing.assert_close(
        supcon(torch.cat([z1, z2]), labels, temperature=0.1), nt_xent(z1, z2, temperature=0.1)
    )


@pytest.mark.parametrize("temperature", [1.0, 0.03, 0.005])
def test_float32_is_accurate_at_every_temperature(temperature):
    z, labels = torch.randn(64, 8), torch.arange(32).repeat(2)
    for loss in (supcon, lambda *a, **k: h_scl(*a, **k, beta=1.0)):
        exact = loss(z.double(), labels, temperature=temperature)
        ours = loss(z, labels, temperature=temperature)
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=0)


def test_anchors_of_two_processes_average_to_the_whole():
    z = torch.randn(8, 5, dtype=torch.float64)
    for loss in (supcon, lambda *a, **k: h_scl(*a, **k, beta=0.5)):
        for labels in (PAIRS, SEVERAL):  # SEVERAL has 3 anchors in one half and 3 of 4 in the other
            whole = loss(z, labels, temperature=0.2)
            halves = [
                loss(z, labels, temperature=0.2, anchors=rows)
                for rows in (slice(0, 4), slice(4, 8))
            ]
            torch.testing.assert_close(sum(halves) / 2, whole)


def test_bfloat16_autocast_computes_in_float32():
    z, weight = torch.randn(8, 5), torch.randn(9, 5)
    losses = [
        lambda: supcon(z, PAIRS, temperature=0.1),
        lambda: h_scl(z, PAIRS, temperature=0.1, beta=0.1),
        lambda: aam_softmax(z, weight, PAIRS),
    ]
    plain = [loss() for loss in losses]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert [loss() for loss in losses] == plain


def test_learned_temperature_stays_in_its_range_and_can_come_back():
    temperature = LearnableTemperature(0.1, lowest=0.05, highest=0.5)
    weight = temperature.log_temperature
    for sign, limit in ((1.0, 0.05), (-1.0, 0.5), (1.0, 0.05)):
        (gradient,) = torch.autograd.grad(sign * temperature(), weight)
        weight.data -= 100.0 * gradient
        assert temperature().item() == pytest.approx(limit)
    with pytest.raises(ValueError, match="must lie between"):
        LearnableTemperature(2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: supcon(torch.ones(4, 2), torch.arange(4), temperature=0.1), "no positives"),
        (
            lambda: h_scl(torch.ones(4, 2), torch.zeros(4), temperature=0.1, beta=0.1),
            "no negatives",
        ),
        (lambda: supcon(torch.ones(4, 2), torch.arange(3), temperature=0.1), r"labels \(N,\)"),
        (
            lambda: aam_softmax(torch.ones(4, 2), torch.ones(5, 2), PAIRS[:4], sub_centers=2),
            "not a multiple",
        ),
    ],
)
def test_wrong_use_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def naive_angular(z, labels, temperature, margin, attention=None):
    """Angular SupCon, one pair at a time; ``attention`` weighs the negatives."""
    z = F.normalize(z)
    total, count, size = 0.0, 0, len(z)
    for i in range(size):
        others = [j for j in range(size) if j != i]
        positives = [p for p in others if labels[p] == labels[i]]
        negatives = [n for n in others if labels[n] != labels[i]]
        if not positives:
            continue
        count += 1
        e = {j: torch.exp((z[i] @ z[j] - margin * (j in positives)) / temperature) for j in others}
        weight = dict.fromkeys(others, 1.0)
        if attention is not None:
            least = {n: min(attention[i], attention[n]) for n in negatives}
            mean = sum(least.values()) / len(least)
            weight |= {n: value / mean for n, value in least.items()}
        bottom = sum(weight[j] * e[j] for j in others)
        total = total - sum(torch.log(e[p] / bottom) for p in positives) / len(positives)
    return total / count


@pytest.mark.parametrize("labels", [PAIRS, SEVERAL])
@pytest.mark.parametrize("attentive", [False, True])
def test_angular_supcon_equals_the_naive_loop(draw, assert_same, labels, attentive):
    attention = draw(8).sigmoid() if attentive else None
    assert_same(
        lambda z: supcon(z, labels, temperature=0.2, margin=0.3, attention=attention),
        lambda z: naive_angular(z, labels, 0.2, 0.3, attention),
        draw(8, 5),
    )


def test_equal_attention_is_none_and_carries_no_gradient(draw):
    z, attention = draw(8, 5), torch.full((8,), 0.3, dtype=torch.float64, requires_grad=True)
    loss = supcon(z.requires_grad_(), PAIRS, temperature=0.2, attention=attention)
    torch.testing.assert_close(loss, supcon(z, PAIRS, temperature=0.2))
    loss.backward()
    assert attention.grad is None


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.2])
def test_angular_supcon_equals_independent_implementation(
    reference_folder, assert_relative, margin
):
    file = reference_folder / "relatives_dev.npz"
    if not file.exists():
        pytest.skip("no reference/relatives_dev.npz here: set SV_REFERENCE to its folder")
    speakers = torch.tensor(np.load(file)["supmargincon/labels"]).repeat(2)

    def loss(first, second, labels):
        z = torch.cat([first, second])
        return supcon(z, labels, temperature=0.07, margin=margin)

    key = f"tau0.07_m{margin}"
    both = ("view1", "view2")
    assert_relative("supmargincon", key, lambda a, b, _: loss(a, b, speakers), *both)
    if margin == 0.1:
        alone = torch.arange(len(speakers) // 2).repeat(2)
        assert_relative(
            "supmargincon", f"{key}_no_labels", lambda a, given: loss(a, given["view2"], alone),
            "view1",
        )  # fmt: skip
