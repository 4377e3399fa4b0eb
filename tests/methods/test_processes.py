"""Several processes (gloo) against one with the joined batch: loss, gradient, memory, norm."""

from pathlib import Path

import pytest
import torch
from tiny_batches import views_of
from tiny_methods import TINY, settings_of
from torch import nn
from two_processes import Collectives, in_processes

from sv import distributed
from sv.encoders import build_encoder
from sv.encoders.sync_norm import is_synchronised, synchronise
from sv.methods import METHODS, build_method
from sv.methods.base import Facts, Moment
from sv.methods.moco import shuffled_forward
from sv.sampling.ssps import SSPS, SSPSConfig
from sv.training.experiment import Experiment
from sv.training.gradients import Gradients
from sv.training.overlap import Averaging

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
TEAMS = [(2, 8), (2, 7), (4, 7)]
"""How many processes, and how many items they share; 7 make shares that are not equal."""
CLUSTERED = ["moco_proto", "deepcluster"]
"""Methods with prototypes of a memory."""


PARTS = ["simclr", "aam", "dino", "supcon", "vicreg", "moco"]
"""Methods that are also tried in parts: train.accumulate of 2."""


class Mean(nn.Module):
    """Batch norm of every frame, mean over frames, a linear layer, another batch norm."""

    embedding_dim = 5

    def __init__(self, norms: bool = True):
        super().__init__()
        self.first = nn.BatchNorm1d(8) if norms else nn.Identity()
        self.layer = nn.Linear(8, 5)
        self.last = nn.BatchNorm1d(5, affine=False) if norms else nn.Identity()

    def forward(self, features):
        frames = self.first(features.transpose(1, 2))
        return self.last(self.layer(frames.mean(dim=2)))


def step(name: str, items: int, parts: int = 1, norms: bool = True):
    """Return loss, gradients and buffers after one step on this process's share of the items.

    Returns also the numbers of collectives: of losses and memories, and of batch norms.
    """
    torch.manual_seed(0)
    rows = distributed.deal(items) or slice(None)
    more = [f"train.batch_size={items}", f"train.accumulate={parts}"]
    settings = Experiment.load(None, settings_of(name, *more))
    encoder = build_encoder(settings.model) if settings.mixing.probability else Mean(norms)
    method = build_method(encoder, settings.method, Facts(utterances=16, speakers=7)).train()
    if distributed.world_size() > 1:
        synchronise(method)
    gradients = Gradients(method, settings.train, torch.device("cpu"), None)
    gradients.averaging.bucket = 60  # several buckets, which are sent during the backward pass
    views = views_of(method.crop_groups(settings.data), items, rows)
    with Collectives() as collectives:
        loss, _ = gradients.of(views)
    gradients = [weight.grad for weight in method.parameters() if weight.grad is not None]
    loss = distributed.all_reduce_mean(loss)
    buffers = [buffer.clone() for buffer in method.buffers()]
    return [loss, *gradients], buffers, collectives.of("distributed", "encoders.sync_norm")


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
    averaging = Averaging(method.parameters())
    averaging.begin()
    loss.backward()
    averaging.finish()
    gradients = [weight.grad for weight in method.parameters() if weight.grad is not None]
    kept = {n: b.float() for n, b in method.named_buffers() if n.startswith(("prototypes", "mem"))}
    return [*losses, *gradients, *kept.values(), kept["prototypes.0.cluster"]]


def overlapped(rank: int) -> dict:
    """Return gradients of five layers with a bucket each; the second is unused, the third fixed.

    Also how many buckets had been sent when the backward pass ended, after a first pass that is not
    the last one of its step.
    """
    distributed.deal(3)  # the first process has two items, the second has one
    layers = [nn.Linear(2, 2, bias=False) for _ in range(5)]
    for number, layer in enumerate(layers):
        nn.init.constant_(layer.weight, number + 1.0)
    averaging = Averaging((layer.weight for layer in layers), bucket=4)
    layers[2].requires_grad_(False)
    x = torch.full((1, 2), rank + 1.0)
    for begin in (lambda: None, averaging.begin):
        begin()
        layers[4](layers[3](layers[2](layers[0](x)))).sum().backward()
    sent = len(averaging.sent)
    averaging.finish()
    gradients = {str(n): layer.weight.grad for n, layer in enumerate(layers)}
    return {"sent": sent, **gradients}


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
    if distributed.world_size() == 2:
        results["overlap"] = overlapped(rank)
        results["parts"] = {name: step(name, 8, parts=2, norms=False) for name in PARTS}
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


@pytest.mark.parametrize("name", PARTS)
def test_parts_in_two_processes_give_the_gradient_of_one_batch(done, name):
    """Without batch norms in the encoder; those of the heads measure the joined batch."""
    whole = step(name, 8, norms=False)
    rounding = 1e-5 * (1 + max(float(value.abs().max()) for value in whole[0]))
    for found in done["figures"]:
        one = found["parts"][name]
        for mine, expected in zip((*one[0], *one[1]), (*whole[0], *whole[1]), strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-4, atol=rounding)


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_exchanges_of_a_step_are_those_of_the_documentation(done, name):
    """The table in docs/scaling.md: for losses and memories, and for batch norms."""
    rows = (ROOT / "docs" / "scaling.md").read_text().partition("| method | losses")[2].split("\n")
    cells = [[cell.strip() for cell in row.split("|")] for row in rows if row.startswith("| ")]
    stated = {each: row[2:4] for row in cells for each in row[1].split(", ")}
    for found in done[2, 8]:
        assert [str(number) for number in found[name][2]] == stated[name]


def test_gradients_leave_during_the_backward_pass_in_a_fixed_order(done):
    """Those behind a weight that the step does not use wait for the end."""
    for found in done["figures"]:
        assert found["overlap"]["sent"] == 2  # of the last layers; the first is behind the unused
        assert found["overlap"]["1"] is None and found["overlap"]["2"] is None
        # The input of the first layer is 1 and 2, of two items and of one; the step is done twice.
        mean = (2 * 1 + 1 * 2) / 3
        chain = 2 * 3 * 2 * 4 * 2 * 5
        expected = torch.full((2, 2), 2 * mean * chain)
        torch.testing.assert_close(found["overlap"]["0"], expected)


def test_torchs_norms_on_gpus_have_the_same_weights_and_statistics():
    """They are made on a processor, where they compute in evaluation mode only."""
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3, affine=False)))
    network(torch.randn(8, 3))
    x, before, names = torch.randn(4, 3), network.state_dict(), list(network.state_dict())
    expected = network.eval()(x)
    assert not is_synchronised(network)
    synchronise(network, native=True)
    assert [type(m) for m in (network[0], network[1][0])] == [nn.SyncBatchNorm] * 2
    assert is_synchronised(network) and list(network.state_dict()) == names
    assert network[0].weight.data_ptr() == before["0.weight"].data_ptr()
    assert torch.equal(network(x), expected)


def test_every_method_is_in_the_table():
    """It is tried in several processes, stopped and killed, as all others are."""
    assert set(TINY) == set(METHODS)


@pytest.mark.parametrize("team", TEAMS, ids=str)
@pytest.mark.parametrize("name", sorted(TINY))
def test_loss_gradient_and_memories_are_those_of_the_joined_batch(done, name, team):
    values, memories, _ = step(name, team[1])
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
