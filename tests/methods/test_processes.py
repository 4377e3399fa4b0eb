"""Several processes (gloo) against one with the joined batch: loss, gradient, memory, norm."""

import pytest
import torch
from tiny_methods import TINY, settings_of
from torch import nn
from two_processes import in_processes

from sv import distributed
from sv.encoders import build_encoder
from sv.encoders.sync_norm import synchronise
from sv.methods import METHODS, build_method
from sv.methods.base import Facts, Moment, Sources, Views
from sv.methods.moco import shuffled_forward
from sv.sampling.ssps import SSPS, SSPSConfig
from sv.training.experiment import Experiment

pytestmark = pytest.mark.whole

TEAMS = [(2, 8), (2, 7), (4, 7)]
"""How many processes, and how many items they share; 7 make shares that are not equal."""
CLUSTERED = ["moco_proto", "deepcluster"]
"""Methods with prototypes of a memory."""


class Mean(nn.Module):
    """Batch norm of every frame, mean over frames, a linear layer, another batch norm."""

    embedding_dim = 5

    def __init__(self):
        super().__init__()
        self.first, self.layer = nn.BatchNorm1d(8), nn.Linear(8, 5)
        self.last = nn.BatchNorm1d(5, affine=False)

    def forward(self, features):
        frames = self.first(features.transpose(1, 2))
        return self.last(self.layer(frames.mean(dim=2)))


def views_of(groups, items: int, rows: slice) -> Views:
    """Return some rows of a batch; what is random in it does not depend on them."""
    generator = torch.Generator().manual_seed(1)
    place, crops, sources = torch.arange(items), {}, {}
    for group in groups:
        shape = (group.count, items)
        crops[group.name] = torch.randn(*shape, 3, 8, generator=generator)[:, rows]
        if group.sources:
            log_mel = torch.randn(*shape, 2, 3, 8, generator=generator)[:, rows]
            away = torch.randint(1, items, shape, generator=generator)
            alone = torch.rand(shape, generator=generator) < 0.3
            partner = torch.where(alone, -1, (place + away) % items)
            made_of = torch.stack([place.expand(shape), partner], dim=2)[:, rows]
            sources[group.name] = Sources(log_mel, made_of)
    speakers = torch.tensor([0, 1, 2, 3, 4, 0, 5, 6])[:items][rows]  # one is there twice
    return Views(crops, place[rows], speakers, Moment(5.0, 10), sources)


def step(name: str, items: int):
    """Return loss, gradients and buffers after one step on this process's share of the items."""
    torch.manual_seed(0)
    rows = distributed.deal(items) or slice(None)
    settings = Experiment.load(None, settings_of(name))
    encoder = build_encoder(settings.model) if settings.mixing.probability else Mean()
    method = build_method(encoder, settings.method, Facts(utterances=16, speakers=7)).train()
    if distributed.world_size() > 1:
        synchronise(method)
    loss, _ = method.training_step(views_of(method.crop_groups(settings.data), items, rows))
    loss.backward()
    distributed.average_gradients(method.parameters())
    gradients = [weight.grad for weight in method.parameters() if weight.grad is not None]
    loss = distributed.all_reduce_mean(loss)
    return [loss, *gradients], [buffer.clone() for buffer in method.buffers()]


def ssps_steps(items: int) -> list[torch.Tensor]:
    """Return what SSPS substitutes over two epochs, its clusters and its memories."""
    rows = distributed.deal(items) or slice(None)
    ssps = SSPS(SSPSConfig(enabled=True, clusters=3), 16, 4, (4,))
    generator = torch.Generator().manual_seed(2)
    mixed = []
    for epoch in range(2):
        ssps.start_epoch(epoch)
        for batch in torch.randperm(16, generator=generator).chunk(2):
            batch = batch[:items]
            positives = torch.randn(items, 4, generator=generator)
            references = torch.randn(items, 4, generator=generator) + 3 * (batch[:, None] % 3)
            mixed.append(ssps.substitute(positives[rows], batch[rows], references[rows]))
    return [*mixed, *(buffer.clone() for buffer in ssps.buffers())]


def cluster_steps(name: str, items: int) -> list[torch.Tensor]:
    """Return the losses of two epochs, gradients of the second, prototypes and memory."""
    torch.manual_seed(0)
    rows = distributed.deal(items) or slice(None)
    more = ["method.clusters=[2]", *(["method.queue_size=4"] if name == "moco_proto" else [])]
    settings = Experiment.load(None, settings_of(name, *more))
    method = build_method(Mean(), settings.method, Facts(utterances=items)).train()
    if distributed.world_size() > 1:
        synchronise(method)
    losses = []
    for epoch in (0.0, 1.0):
        method.start_epoch(Moment(epoch, 10))
        views = views_of(method.crop_groups(settings.data), items, rows)
        views.moment = Moment(epoch, 10)
        loss, _ = method.training_step(views)
        losses.append(distributed.all_reduce_mean(loss))
    loss.backward()
    distributed.average_gradients(method.parameters())
    gradients = [weight.grad for weight in method.parameters() if weight.grad is not None]
    kept = {n: b.float() for n, b in method.named_buffers() if n.startswith(("prototypes", "mem"))}
    return [*losses, *gradients, *kept.values(), kept["prototypes.0.cluster"]]


def company(x):
    """Add the mean over the batch, as a batch norm would let it show."""
    return x + 100.0 * x.mean(dim=0)


def work(rank: int) -> dict:
    results = {}
    for items in {items for count, items in TEAMS if count == distributed.world_size()}:
        found = {name: step(name, items) for name in TINY}
        found["ssps"] = ssps_steps(items)
        found |= {f"{name} clusters": cluster_steps(name, items) for name in CLUSTERED}
        mine = 2 ** torch.arange(float(items))[distributed.deal(items), None]
        found["plain"] = shuffled_forward(lambda x: 2 * x, mine, seed=3)
        found["company"] = shuffled_forward(company, mine, seed=3)
        found["in parts"] = shuffled_forward(company, mine, seed=3, parts=2)
        found["own mean"] = mine.mean()
        results[items] = found
    results["flags"] = [distributed.any_of(rank == 1), distributed.from_first(rank == 1)]
    distributed.deal(distributed.world_size())
    results["mean"] = distributed.mean_of({"b": rank + 1.0, "a": 3.0})
    return results


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(How many processes, how many items they share) → what each of them returned."""
    results = {
        count: in_processes(work, tmp_path_factory.mktemp("processes"), count)
        for count in {count for count, _ in TEAMS}
    }
    found = {(count, items): [r[items] for r in results[count]] for count, items in TEAMS}
    return found | {"figures": results[2]}


def test_every_method_is_in_the_table():
    """It is tried in several processes, stopped and killed, as all others are."""
    assert set(TINY) == set(METHODS)


@pytest.mark.parametrize("team", TEAMS, ids=str)
@pytest.mark.parametrize("name", sorted(TINY))
def test_loss_gradient_and_memories_are_those_of_the_joined_batch(done, name, team):
    values, memories = step(name, team[1])
    first, *others = (found[name] for found in done[team])
    for one, whole in zip(first[0], values, strict=True):
        rounding = 1e-5 * (1 + float(whole.abs().max()))
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=rounding)
    for one, whole in zip(first[1], memories, strict=True):
        torch.testing.assert_close(one, whole)
    for other in others:
        for one, same in zip((*first[0], *first[1]), (*other[0], *other[1]), strict=True):
            assert torch.equal(one, same)


@pytest.mark.parametrize("team", TEAMS, ids=str)
def test_positives_and_memories_are_those_of_one_process(done, team):
    whole = ssps_steps(team[1])
    parts = [found["ssps"] for found in done[team]]
    for number, (expected, *found) in enumerate(zip(whole, *parts, strict=True)):
        joined = torch.cat(found) if number < 4 else found[0]
        torch.testing.assert_close(joined, expected, rtol=1e-4, atol=1e-5)
        assert number < 4 or all(torch.equal(found[0], other) for other in found)


@pytest.mark.parametrize("team", TEAMS, ids=str)
@pytest.mark.parametrize("name", CLUSTERED)
def test_prototypes_are_those_of_one_process(done, team, name):
    whole = cluster_steps(name, team[1])
    assert whole[1] > 0 and int(whole[-1].min()) == 0  # every utterance is in a cluster
    first, *others = (found[f"{name} clusters"] for found in done[team])
    for expected, one, *same in zip(whole, first, *others, strict=True):
        torch.testing.assert_close(one, expected, rtol=2e-3, atol=2e-3)  # of half precision
        assert all(torch.equal(one, other) for other in same)


def test_decisions_and_figures_are_common(done):
    for found in done["figures"]:
        assert found["flags"] == [True, False] and found["mean"] == {"b": 1.5, "a": 3.0}


@pytest.mark.parametrize("team", TEAMS, ids=str)
def test_crops_are_dealt_anew_and_outputs_come_back_in_order(done, team):
    items = 2 ** torch.arange(float(team[1]))[:, None]
    own = {found["own mean"].item() for found in done[team]}
    for found in done[team]:
        assert torch.equal(found["plain"], 2 * items)
        means = ((found["company"] - items) / 100).round(decimals=3).unique()
        assert len(means) == team[0]  # batches of all items together
        assert own.isdisjoint(means.tolist())  # which are not the processes' own
        means = ((found["in parts"] - items) / 100).round(decimals=3).unique()
        assert len(means) == min(2 * team[0], team[1])  # a process may have one item only
    assert distributed.world_size() == 1
