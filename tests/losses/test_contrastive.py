import math

import pytest
import torch
import torch.nn.functional as F

from sv.losses import blocked, moco_nce, nt_xent
from sv.losses.margins import MARGINS, MarginState, chance_level, usual_margin

STATE = MarginState(hardness=0.3, norm_range=(1.0, 3.0))


def shifted_cosine(margin_type, cosine, margin, norm, norms):
    """The margin formulas as the papers have them, by arc cosine, for one pair."""
    angle = torch.acos(cosine)
    if margin_type == "none":
        return cosine
    if margin_type == "am":
        return cosine - margin
    if margin_type == "sphereface":
        k = math.floor(margin * angle.item() / math.pi)
        return (-1) ** k * torch.cos(margin * angle) - 2 * k
    if margin_type == "magface":
        low, high = STATE.norm_range
        smallest = margin * 0.45 / 0.8
        share = (norm.clamp(low, high) - low) / (high - low)
        margin = smallest + (margin - smallest) * share
    if margin_type == "adaface":
        q = 0.333 * (norm - norms.mean()) / (norms.std(correction=0) + 1e-3)
        q = q.detach().clamp(-1, 1)
        return torch.cos((angle - margin * q).clamp(0, math.pi)) - (margin * q + margin)
    if cosine <= -torch.cos(torch.as_tensor(margin)):
        return cosine - margin * torch.sin(math.pi - torch.as_tensor(margin).double())
    return torch.cos(angle + margin)


def naive_nce(anchors, keys, positive_keys, negatives, temperature, margin, margin_type):
    """The equations, one pair at a time; ``negatives(i)`` are the rows of ``keys`` to use."""
    norms = anchors.norm(dim=1)
    anchors, keys, positive_keys = map(F.normalize, (anchors, keys, positive_keys))
    total = 0.0
    for i in range(len(anchors)):
        cosine = anchors[i] @ positive_keys[i]
        positive = shifted_cosine(margin_type, cosine, margin, norms[i], norms)
        top = torch.exp(positive / temperature)
        bottom = top
        for a in negatives(i):
            negative = anchors[i] @ keys[a]
            if margin_type == "curricularface" and negative > positive:
                negative = negative * (STATE.hardness + negative)
            bottom = bottom + torch.exp(negative / temperature)
        total = total - torch.log(top / bottom)
    return total / len(anchors)


def naive_nt_xent(z1, z2, temperature, margin, margin_type, symmetric):
    size = len(z1)
    if not symmetric:
        others = lambda i: [a for a in range(size) if a != i]  # noqa: E731
        return naive_nce(z1, z2, z2, others, temperature, margin, margin_type)
    both = torch.cat([z1, z2])
    others = lambda i: [a for a in range(2 * size) if a % size != i % size]  # noqa: E731
    return naive_nce(both, both, torch.cat([z2, z1]), others, temperature, margin, margin_type)


def pair(draw):
    z1 = draw(9, 5)
    z2 = z1 + 2 * draw(9, 5)
    z2[0] = -z1[0] + 0.01  # beyond π − m, where the angular margin becomes linear
    return z1, z2


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("margin_type", list(MARGINS))
@pytest.mark.parametrize("block", [1, 40, 2**21])
def test_value_and_gradient_equal_the_naive_loop(
    monkeypatch, draw, assert_same, symmetric, margin_type, block
):
    monkeypatch.setattr(blocked, "BLOCK_ELEMENTS", block)
    monkeypatch.setattr(blocked, "KEPT_ELEMENTS", 2 * block)  # some are made twice
    options = {"temperature": 0.07, "margin": 1.7 if margin_type == "sphereface" else 0.2}
    options |= {"margin_type": margin_type, "symmetric": symmetric}
    assert_same(
        lambda a, b: nt_xent(a, b, **options, margin_state=STATE),
        lambda a, b: naive_nt_xent(a, b, **options),
        *pair(draw),
        atol=1e-9,
    )


@pytest.mark.parametrize("margin_type", list(MARGINS))
@pytest.mark.parametrize("block", [1, 40, 2**21])
def test_moco_equals_the_naive_loop(monkeypatch, draw, assert_same, margin_type, block):
    monkeypatch.setattr(blocked, "BLOCK_ELEMENTS", block)
    options = {"temperature": 0.07, "margin": usual_margin(margin_type)}
    options |= {"margin_type": margin_type}
    key, queue = draw(6, 5), F.normalize(draw(11, 5))
    assert_same(
        lambda q: moco_nce(q, key, queue, **options, margin_state=STATE),
        lambda q: naive_nce(q, queue, key, lambda i: range(11), **options),
        draw(6, 5),
        atol=1e-9,
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("margin_type", ["am", "aam", "magface", "curricularface", "adaface"])
def test_gradient_of_the_margin(draw, assert_same, symmetric, margin_type):
    z1, z2 = pair(draw)
    options = {"temperature": 0.07, "margin_type": margin_type, "symmetric": symmetric}
    assert_same(
        lambda m: nt_xent(z1, z2, margin=m, **options, margin_state=STATE),
        lambda m: naive_nt_xent(z1, z2, margin=m, **options),
        torch.tensor(0.2, dtype=torch.float64),
    )


REFERENCE = [
    ("ntxent_{}_m0.0_tau0.03", "none", 0.0),
    ("ntxent_am_{}_m0.1_tau0.03", "am", 0.1),
    ("ntxent_am_{}_m0.2_tau0.03", "am", 0.2),
    ("ntxent_aam_{}_m0.1_tau0.03", "aam", 0.1),
    ("ntxent_aam_{}_m0.2_tau0.03", "aam", 0.2),
]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("name", "margin_type", "margin"), REFERENCE)
def test_equals_independent_implementation(assert_reference, name, margin_type, margin, symmetric):
    options = {"temperature": 0.03, "margin": margin, "margin_type": margin_type}
    assert_reference(
        lambda z, given: nt_xent(z, given["z2"], symmetric=symmetric, **options),
        name.format("sym" if symmetric else "asym"),
    )


def test_moco_equals_independent_implementation(assert_reference):
    assert_reference(
        lambda z, given: moco_nce(z, given["z2"], given["queue"].T, temperature=0.03),
        "moco_tau0.03",
    )


@pytest.mark.parametrize("temperature", [0.5, 0.03, 0.005])
def test_float32_is_accurate_at_every_temperature(temperature):
    """Also where e^{1/τ} overflows, and positives far below the hardest negative."""
    z1, z2 = torch.randn(2, 300, 8, generator=torch.Generator().manual_seed(1)).unbind()
    exact = nt_xent(z1.double(), z2.double(), temperature=temperature)
    loss = nt_xent(z1, z2, temperature=temperature)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)
    alike = torch.ones(300, 8) + 1e-3 * z1
    exact = nt_xent(alike.double(), -alike.double(), temperature=temperature)
    loss = nt_xent(alike, -alike, temperature=temperature)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


def test_gradient_scales_with_the_gradient_from_above():
    z = torch.randn(4, 3, requires_grad=True)
    queue = F.normalize(torch.randn(5, 3))
    for loss in (
        nt_xent(z, z.flip(0), temperature=0.1),
        nt_xent(z, z.flip(0), temperature=0.1, symmetric=False),
        moco_nce(z, z.flip(0), queue, temperature=0.1),
    ):
        (once,) = torch.autograd.grad(loss, z, retain_graph=True)
        (thrice,) = torch.autograd.grad(3 * loss, z)
        torch.testing.assert_close(thrice, 3 * once)


@pytest.mark.parametrize("margin_type", list(MARGINS))
def test_chance_level_when_all_embeddings_are_the_same(margin_type):
    z = torch.ones(8, 3)
    options = {"temperature": 0.1, "margin_type": margin_type, "margin_state": STATE}
    options["margin"] = usual_margin(margin_type)
    level = {k: float(chance_level(k, norm=3**0.5, **options)) for k in (14, 7)}
    assert nt_xent(z, z, **options).item() == pytest.approx(level[14], rel=1e-3)
    assert nt_xent(z, z, symmetric=False, **options).item() == pytest.approx(level[7], rel=1e-3)
    if margin_type == "none":
        assert level == {14: pytest.approx(math.log(15)), 7: pytest.approx(math.log(8))}


def test_one_pair_has_no_negatives():
    z = torch.randn(1, 4, requires_grad=True)
    for symmetric in (True, False):
        loss = nt_xent(z, torch.randn(1, 4), temperature=0.1, symmetric=symmetric)
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.item() == 0.0
        assert gradient.abs().max() == 0.0


def test_bfloat16_autocast_computes_in_float32():
    z1, z2, queue = torch.randn(6, 8), torch.randn(6, 8), F.normalize(torch.randn(9, 8))
    plain = nt_xent(z1, z2, temperature=0.03), moco_nce(z1, z2, queue, temperature=0.03)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert nt_xent(z1, z2, temperature=0.03) == plain[0]
        assert moco_nce(z1, z2, queue, temperature=0.03) == plain[1]


def test_no_matrix_of_all_pairs_is_held():
    z1, z2 = (torch.randn(1024, 16, requires_grad=True) for _ in range(2))
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, id):
        nt_xent(z1, z2, temperature=0.1)
        nt_xent(z1, z2, temperature=0.1, symmetric=False)
        moco_nce(z1, z2, F.normalize(torch.randn(4096, 16)), temperature=0.1)
    assert max(sizes) <= 2048 * 16


@pytest.mark.parametrize(
    ("loss", "shapes", "options", "message"),
    [
        (nt_xent, [(3, 2), (4, 2)], {"temperature": 0.1}, r"\(3, 2\) and \(4, 2\)"),
        (nt_xent, [(3, 2), (3, 2)], {"temperature": 0.0}, "temperature"),
        (nt_xent, [(3, 2), (3, 2)], {"temperature": 1.0, "margin_type": "x"}, "aam"),
        (moco_nce, [(3, 2), (4, 2), (5, 2)], {"temperature": 0.1}, r"\(3, 2\) and \(4, 2\)"),
        (moco_nce, [(3, 2), (3, 2), (2, 5)], {"temperature": 0.1}, r"\(Q, 2\), not \(2, 5\)"),
        (moco_nce, [(3, 2), (3, 2), (5, 2)], {"temperature": -1.0}, "temperature"),
    ],
)
def test_wrong_use_is_named(loss, shapes, options, message):
    with pytest.raises(ValueError, match=message):
        loss(*map(torch.ones, shapes), **options)


@pytest.mark.parametrize("symmetric", [True, False])
def test_embeddings_of_the_same_speaker_are_no_negatives_where_asked(symmetric):
    generator = torch.Generator().manual_seed(3)
    z1, z2 = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64).unbind()
    z1.requires_grad_()
    speakers = torch.tensor([0, 1, 0, 2, 0, 1, 3])
    loss = nt_xent(z1, z2, temperature=0.2, symmetric=symmetric, speakers=speakers)
    a, b = F.normalize(z1), F.normalize(z2)
    keys = torch.cat([a, b]) if symmetric else b
    anchors = torch.cat([a, b]) if symmetric else a
    names = speakers.repeat(2) if symmetric else speakers
    positives = (torch.arange(len(anchors)) + 7) % 14 if symmetric else torch.arange(7)
    terms = []
    for i, anchor in enumerate(anchors):
        logits = keys @ anchor / 0.2
        kept = [j for j in range(len(keys)) if names[j] != names[i]]
        terms.append(torch.cat([logits[positives[i]][None], logits[kept]]).logsumexp(0))
        terms[-1] = terms[-1] - logits[positives[i]]
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(loss, expected)
    got, wanted = (torch.autograd.grad(x, z1, retain_graph=True)[0] for x in (loss, expected))
    torch.testing.assert_close(got, wanted)


def test_moco_with_weighted_negatives_equals_the_naive_loop(draw, assert_same):
    """Weight 0 is no negative; weights of 1 are MoCo."""
    key, queue = draw(4, 3), F.normalize(draw(6, 3))
    weights = draw(4, 6).sigmoid()
    weights[0, :5], weights[1, 2] = 0.0, 0.0

    def naive(q):
        total = 0.0
        for one, k, row in zip(F.normalize(q), F.normalize(key), weights, strict=True):
            top = torch.exp((one @ k - 0.1) / 0.3)
            rest = sum(w * torch.exp(one @ b / 0.3) for w, b in zip(row, queue, strict=True))
            total = total - torch.log(top / (top + rest))
        return total / len(q)

    how = {"temperature": 0.3, "margin": 0.1, "margin_type": "am"}
    assert_same(lambda q: moco_nce(q, key, queue, weights=weights, **how), naive, draw(4, 3))
    ones = torch.ones(4, 6)
    assert_same(
        lambda q: moco_nce(q, key, queue, weights=ones, **how),
        lambda q: moco_nce(q, key, queue, **how),
        draw(4, 3),
    )
