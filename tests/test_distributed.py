"""Two processes (gloo) against one with the joined batch: every loss, value and gradient."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from two_processes import in_two_processes

from sv import distributed
from sv.losses import (
    aam_softmax,
    dino_loss,
    h_scl,
    moco_nce,
    nt_xent,
    sinkhorn,
    supcon,
    swav_loss,
    update_center,
    vicreg_loss,
)
from sv.methods import build_method
from sv.methods.base import Views
from sv.methods.simclr import SimCLRConfig

pytestmark = pytest.mark.whole

BATCH, DIM = 4, 5
ITEMS = [2 * BATCH, 2 * BATCH - 1]
"""Of two processes together; of an odd number the first one has one more."""


def anchored(loss, z, *others, **options):
    """A loss that is told which rows are this process's own."""
    joined = [distributed.gather(x) for x in (z, *others)]
    return loss(*joined, anchors=distributed.own_rows(len(z)), **options)


def simclr(z1, z2, margin_type):
    """The method itself, with statistics of its margin."""
    encoder = torch.nn.Identity()
    encoder.embedding_dim = DIM
    config = SimCLRConfig(margin_type=margin_type, temperature=0.2)
    method = build_method(encoder, config).to(z1.dtype)
    loss, stats = method.training_step(
        Views({"views": torch.stack([z1, z2])}, torch.arange(len(z1)))
    )
    return loss + sum(method.buffers(), torch.zeros(())), float(stats["chance"])


def dino(student, teacher, views):
    """Views are stacked view-major; the centre follows the mean over all processes."""
    mean = distributed.all_reduce_mean(teacher.mean(dim=0, keepdim=True))
    center = update_center(torch.zeros(1, DIM, dtype=mean.dtype), mean, 0.9)
    student = student.unflatten(1, (views, DIM)).transpose(0, 1).flatten(0, 1)
    return dino_loss(student, teacher, center, student_temp=0.1, teacher_temp=0.3, n_global=1)


def swav(scores):
    one, two = scores.chunk(2, dim=1)
    codes = sinkhorn(one.detach(), epsilon=0.5, join=distributed.gather)
    return swav_loss(torch.cat([one, two]), codes, temperature=0.1, n_codes=1)


def losses(items=2 * BATCH):
    """Return name → (function of this process's rows, all rows of its inputs)."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    z1, z2, wide = draw(items, DIM), draw(items, DIM), draw(items, 3 * DIM)
    queue, weight = F.normalize(draw(9, DIM)), draw(4, DIM)
    labels = torch.tensor([0, 0, 1, 1, 2, 3, 2, 2])[
        :items
    ]  # more anchors with a positive in one half
    options = {"temperature": 0.2}
    found = {
        "moco": (lambda a, b: moco_nce(a, b, queue, **options), (z1, z2)),
        "supcon": (partial(anchored, supcon, **options), (z1, labels)),
        "h_scl": (partial(anchored, h_scl, beta=0.3, **options), (z1, labels)),
        "aam": (lambda z, y: aam_softmax(z, weight, y), (z1, labels)),
        "vicreg": (
            lambda a, b: vicreg_loss(distributed.gather(a), distributed.gather(b)),
            (z1, z2),
        ),
        "dino": (partial(dino, views=3), (wide, z2)),
        "swav": (swav, (wide[:, : 2 * DIM],)),
    }
    for margin_type in ("none", "aam", "curricularface", "adaface"):
        margin = {"margin_type": margin_type, "margin": 0.1, **options}
        for symmetric in (True, False):
            function = partial(anchored, nt_xent, symmetric=symmetric, **margin)
            found[f"nt_xent {margin_type} {symmetric}"] = (function, (z1, z2))
        found[f"simclr {margin_type}"] = (partial(simclr, margin_type=margin_type), (z1, z2))
    return found


def evaluate(items):
    """Return name → (value, gradients) for this process's share of the items."""
    rows = distributed.deal(items) or slice(None)
    results = {}
    for name, (function, inputs) in losses(items).items():
        own = [x[rows].clone().requires_grad_(x.is_floating_point()) for x in inputs]
        value = function(*own)
        value, *rest = value if isinstance(value, tuple) else (value,)
        wanted = [x for x in own if x.requires_grad]
        gradients = torch.autograd.grad(value, wanted, allow_unused=True)
        zeros = [
            torch.zeros_like(x) if g is None else g for x, g in zip(wanted, gradients, strict=True)
        ]
        results[name] = [value.detach(), zeros, rest]
    return results


def work(rank: int) -> dict:
    """One of the two processes."""
    results = {items: evaluate(items) for items in ITEMS}
    results["shares"] = [len(range(650)[distributed.deal(650)]), len(range(7)[distributed.deal(7)])]
    own = torch.arange(3.0 + rank)
    results["unequal"] = [
        distributed.gather(own),
        distributed.elsewhere(torch.arange(4.0 - rank)),
        distributed.all_reduce_mean(own.mean()),
        distributed.factor_of_mean(torch.tensor(len(own))) * own.mean(),
        list(range(14)[distributed.own_rows(2 * (4 - rank))]),
    ]
    distributed.deal(2)
    assert distributed.rank() == rank
    assert distributed.world_size() == 2
    sent = distributed.broadcast(torch.full((2,), float(rank)), source=1)
    results["helpers"] = [sent, distributed.all_reduce_mean(torch.tensor(float(rank)))]
    results["rows"] = distributed.to_first(torch.full((2 * rank + 1, 2), float(rank)))
    norms = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm1d(2))
    norms(torch.full((4, 3), float(rank)))
    norms[2].running_var.fill_(rank)
    distributed.average_statistics(norms)
    results["statistics"] = [norms[0].running_mean, norms[2].running_var]
    return results


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return in_two_processes(work, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("items", ITEMS)
def test_two_processes_give_the_loss_and_gradients_of_one(two_processes, items):
    first, second = (results[items] for results in two_processes)
    shares = [BATCH / items, 1 - BATCH / items]  # what a process counts in means
    for name, (value, gradients, rest) in evaluate(items).items():
        left, right = first[name], second[name]
        pairs = [(shares[0] * left[0] + shares[1] * right[0], value)]
        for one, other, whole in zip(left[1], right[1], gradients, strict=True):
            pairs.append((torch.cat([shares[0] * one, shares[1] * other]), whole))
        for joined, whole in pairs:
            torch.testing.assert_close(joined, whole, rtol=1e-10, atol=1e-12, msg=name)
        assert left[2] == pytest.approx(rest, rel=1e-3), name  # own lengths, not the joined ones


def test_shares_of_a_batch_that_is_no_multiple(two_processes):
    """Of 7 items 4 and 3; rows that are as unequal the other way are joined none the less."""
    for rank, results in enumerate(two_processes):
        assert results["shares"] == [325, [4, 3][rank]]
        joined, others, mean, voices, rows = results["unequal"]
        assert joined.tolist() == [0, 1, 2, 0, 1, 2, 3]
        assert others.tolist() == ([0, 1, 2], [0, 1, 2, 3])[rank]
        assert mean.item() == pytest.approx((4 * 1.0 + 3 * 1.5) / 7)
        assert rows == (list(range(8)), list(range(8, 14)))[rank]
    whole = sum(
        share * r["unequal"][3] for share, r in zip((4 / 7, 3 / 7), two_processes, strict=True)
    )
    assert whole.item() == pytest.approx(9 / 7)  # of 3 and 4 things that sum up to 3 and 6


def test_helpers_of_two_processes(two_processes):
    for sent, mean in (results["helpers"] for results in two_processes):
        assert sent.tolist() == [1.0, 1.0]
        assert mean.item() == 0.5


def test_rows_of_any_number_come_to_the_first_process(two_processes):
    first, second = (results["rows"] for results in two_processes)
    assert first.tolist() == [[0.0, 0.0], *[[1.0, 1.0]] * 3]
    assert second is None


def test_statistics_of_batch_norms_are_averaged(two_processes):
    for mean, variance in (results["statistics"] for results in two_processes):
        torch.testing.assert_close(mean, torch.full((3,), 0.05))  # of 0 and of a momentum of 0.1
        assert variance.tolist() == [0.5, 0.5]


def test_one_process_has_nothing_to_join():
    x = torch.ones(2, 3, requires_grad=True)
    assert distributed.gather(x) is x
    assert distributed.broadcast(x) is x
    assert distributed.to_first(x) is x
    assert distributed.own_rows(2) is None
    assert not distributed.all_reduce_mean(x).requires_grad
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
