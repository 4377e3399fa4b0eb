"""Separation without regard to order, attention that may not look, and the bound on information."""

import math
from itertools import permutations

import pytest
import torch

from sv.losses import cross_attention, csl_scores, pit_loss, separative_loss

FLOAT = torch.float64


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def naive_pit(estimates, sources, mixture, p=0.3):
    total, orders = 0.0, []
    for e, s, x in zip(estimates.exp(), sources.exp(), mixture.exp(), strict=True):
        errors = {}
        for order in permutations(range(len(s))):
            error = 0.0
            for source, estimate in enumerate(order):
                for a, b in zip(e[estimate].flatten(), s[source].flatten(), strict=True):
                    error += (float(a) ** p - float(b) ** p) ** 2
            errors[order] = error
        best = min(errors, key=errors.get)
        orders.append(best)
        total += errors[best] / sum(float(v) ** (2 * p) for v in x.flatten())
    return total / len(estimates), orders


def test_pit_loss_against_a_loop():
    estimates, sources = random(4, 3, 5, 2), random(4, 3, 5, 2, seed=1)
    mixture = random(4, 5, 2, seed=2)
    loss, order = pit_loss(estimates, sources, mixture)
    expected, orders = naive_pit(estimates, sources, mixture)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert order.tolist() == [list(each) for each in orders]


def test_pit_loss_does_not_depend_on_the_order():
    estimates, sources = random(2, 3, 6, 4), random(2, 3, 6, 4, seed=1)
    mixture = random(2, 6, 4, seed=2)
    loss, order = pit_loss(estimates, sources, mixture)
    for perm in permutations(range(3)):
        again, other = pit_loss(estimates[:, list(perm)], sources, mixture)
        assert again.item() == pytest.approx(loss.item(), rel=1e-12)
        # the same estimate goes to each source, wherever it is now
        assert torch.equal(torch.tensor(perm)[other], order)


def test_perfect_separation_costs_nothing_and_finds_the_order():
    sources = random(2, 2, 6, 4)
    mixture = sources.exp().sum(1).log()
    loss, order = pit_loss(sources[:, [1, 0]], sources, mixture)
    assert loss.item() == 0.0 and order.tolist() == [[1, 0], [1, 0]]


def test_pit_loss_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"must both be \(batch, n, frames, mel\)"):
        pit_loss(random(2, 2, 6, 4), random(2, 3, 6, 4), random(2, 6, 4))


def test_cross_attention_against_a_loop():
    q, k, v = random(3, 4), random(5, 4, seed=1), random(5, 6, seed=2)
    allowed = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).bool()
    g, some = cross_attention(q, k, v, allowed)
    assert some.tolist() == [True, False, True]
    for i in range(3):
        weights = [math.exp(float(q[i] @ k[j]) / 2) if allowed[i, j] else 0.0 for j in range(5)]
        expected = sum(w * v[j] for j, w in enumerate(weights)) / (sum(weights) or 1.0)
        torch.testing.assert_close(g[i], expected + torch.zeros(6, dtype=FLOAT))


def test_what_is_not_allowed_has_no_influence_and_gets_no_gradient():
    allowed = torch.tensor([[False, True, True]])
    q, k, v = random(1, 4), random(3, 4, seed=1), random(3, 6, seed=2)
    k.requires_grad_(), v.requires_grad_()
    g, _ = cross_attention(q, k, v, allowed)
    g.sin().sum().backward()
    assert (k.grad[0] == 0).all() and (v.grad[0] == 0).all()
    assert (k.grad[1:] != 0).any() and (v.grad[1:] != 0).all()
    k2, v2 = k.detach().clone(), v.detach().clone()
    k2[0], v2[0] = 1e3, -1e3
    assert torch.equal(cross_attention(q, k2, v2, allowed)[0], g)


def test_loss_worked_by_hand():
    """Two vectors on a line, g_1 = v_1, g_2 one away: f is 1 or e^-α, up to β."""
    v = torch.tensor([[0.0], [2.0]], dtype=FLOAT)
    g = torch.tensor([[0.0], [1.0]], dtype=FLOAT)
    scores = csl_scores(v, g, alpha=0.5, beta=3.0)
    torch.testing.assert_close(scores, torch.tensor([[3.0, 2.5], [1.0, 2.5]], dtype=FLOAT))
    loss, bound = separative_loss(scores, torch.arange(2), torch.ones(2, 2).bool())
    expected = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-1.5))) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert bound.item() == pytest.approx(math.log(2) - expected, rel=1e-12)


def test_loss_against_a_loop():
    v, g = random(6, 3), random(6, 3, seed=1)
    alpha, beta = 0.7, -0.4
    candidates = torch.rand(6, 6, generator=torch.Generator().manual_seed(2)) < 0.5
    own = torch.tensor([1, 0, 3, 2, 5, 4])
    loss, bound = separative_loss(csl_scores(v, g, alpha, beta), own, candidates)
    total = counts = 0.0
    for i in range(6):

        def f(j, i=i):
            return math.exp(-alpha * float((v[i] - g[j]).square().sum()) + beta)

        members = {j for j in range(6) if candidates[i, j]} | {int(own[i])}
        total -= math.log(f(int(own[i])) / sum(f(j) for j in members)) / 6
        counts += math.log(len(members)) / 6
    assert loss.item() == pytest.approx(total, rel=1e-12)
    assert bound.item() == pytest.approx(counts - total, rel=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_the_bound_never_exceeds_log_n(scale):
    v = scale * random(8, 5)
    everybody = torch.ones(8, 8).bool()
    loss, bound = separative_loss(csl_scores(v, v, 1.0, 0.0), torch.arange(8), everybody)
    assert loss >= 0 and bound <= math.log(8) + 1e-12
    if scale == 0.0:  # all alike: nothing is known
        assert bound.item() == pytest.approx(0.0, abs=1e-12)
    if scale == 100.0:
        assert bound.item() == pytest.approx(math.log(8))


def test_beta_cancels():
    v, g = random(4, 3), random(4, 3, seed=1)
    beta = torch.zeros((), dtype=FLOAT, requires_grad=True)
    scores = csl_scores(v, g, 1.0, beta)
    separative_loss(scores, torch.arange(4), torch.ones(4, 4).bool())[0].backward()
    assert beta.grad.item() == pytest.approx(0.0, abs=1e-12)
