"""Two processes (gloo) against one with the joined batch: losses, gradients, memories, norms."""

import pytest
import torch
from torch import nn
from two_processes import in_two_processes

from sv import distributed
from sv.methods import METHODS, build_method
from sv.methods.base import Facts, Moment, Views
from sv.methods.shuffle import shuffled_forward
from sv.positives import SSPS, SSPSConfig
from sv.sync_norm import synchronise

BATCH = 4
SETTINGS = {
    "simclr": {"projector": [6, 5], "temperature": 0.2},
    "moco": {"queue_size": 12, "temperature": 0.2},
    "dino": {"hidden": [], "bottleneck": 4, "outputs": 9, "local_crops": 1},
    "vicreg": {"projector": []},
    "swav": {"projector": [], "prototypes": 6, "queue_size": 12, "queue_start": 0.0},
    "supcon": {},
    "h_scl": {},
    "aam": {},
}


class Mean(nn.Module):
    """Batch norm of every frame, mean over frames, a linear layer, another batch norm."""

    embedding_dim = 5

    def __init__(self):
        super().__init__()
        self.first, self.layer = nn.BatchNorm1d(5), nn.Linear(5, 5)
        self.last = nn.BatchNorm1d(5, affine=False)

    def forward(self, features):
        frames = self.first(features.transpose(1, 2))
        return self.last(self.layer(frames.mean(dim=2)))


def step(name: str, rows: slice):
    """Return loss, gradient of the encoder and buffers after one step on these items."""
    torch.manual_seed(0)
    method = build_method(Mean(), METHODS[name][1](**SETTINGS[name]), Facts(speakers=7)).train()
    if rows != slice(None):
        synchronise(method)
    generator = torch.Generator().manual_seed(1)
    counts = {"global": 2, "local": 1} if name == "dino" else {"views": 2}
    crops = {
        group: torch.randn(count, 2 * BATCH, 3, 5, generator=generator)[:, rows]
        for group, count in counts.items()
    }
    speakers = torch.tensor([0, 1, 2, 3, 4, 0, 5, 6])[rows]  # one is in both halves
    views = Views(crops, torch.arange(BATCH), labels=speakers, moment=Moment(5.0, 10))
    loss, _ = method.training_step(views)
    loss.backward()
    distributed.average_gradients(method.parameters())
    gradients = [weight.grad for weight in method.parameters() if weight.grad is not None]
    loss = distributed.all_reduce_mean(loss)
    return [loss, *gradients], [buffer.clone() for buffer in method.buffers()]


def ssps_steps(rows: slice) -> list[torch.Tensor]:
    """Return what SSPS substitutes over two epochs, its clusters and its memories."""
    ssps = SSPS(SSPSConfig(enabled=True, clusters=3), 16, 4, (4,))
    generator = torch.Generator().manual_seed(2)
    mixed = []
    for epoch in range(2):
        ssps.start_epoch(epoch)
        for batch in torch.randperm(16, generator=generator).chunk(2):
            positives = torch.randn(8, 4, generator=generator)
            references = torch.randn(8, 4, generator=generator) + 3 * (batch[:, None] % 3)
            mixed.append(ssps.substitute(positives[rows], batch[rows], references[rows]))
    return [*mixed, *(buffer.clone() for buffer in ssps.buffers())]


ITEMS = 2 ** torch.arange(8.0)[:, None]


def company(x):
    """Add the mean over the batch, as a batch norm would let it show."""
    return x + 100.0 * x.mean(dim=0)


def work(rank: int) -> dict:
    rows = slice(rank * BATCH, (rank + 1) * BATCH)
    results = {name: step(name, rows) for name in SETTINGS}
    results["ssps"] = ssps_steps(rows)
    results["flags"] = [distributed.any_of(rank == 1), distributed.from_first(rank == 1)]
    results["mean"] = distributed.mean_of({"b": rank + 1.0, "a": 3.0})
    mine = ITEMS[rows]
    results["plain"] = shuffled_forward(lambda x: 2 * x, mine, seed=3)
    results["company"] = shuffled_forward(company, mine, seed=3)
    return results


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return in_two_processes(work, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_loss_gradient_and_memories_are_those_of_the_joined_batch(two_processes, name):
    values, memories = step(name, slice(None))
    (first, first_memories), (second, second_memories) = (done[name] for done in two_processes)
    for one, other, whole in zip(first, second, values, strict=True):
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-5)
        assert torch.equal(one, other)
    for one, other, whole in zip(first_memories, second_memories, memories, strict=True):
        torch.testing.assert_close(one, whole)
        assert torch.equal(one, other)


def test_positives_and_memories_are_those_of_one_process(two_processes):
    whole = ssps_steps(slice(None))
    first, second = (done["ssps"] for done in two_processes)
    assert len(whole) == len(first)
    for number, (one, other, expected) in enumerate(zip(first, second, whole, strict=True)):
        joined = torch.cat([one, other]) if number < 4 else one
        torch.testing.assert_close(joined, expected, rtol=1e-4, atol=1e-5)
        assert number < 4 or torch.equal(one, other)


def test_decisions_and_figures_are_common(two_processes):
    for done in two_processes:
        assert done["flags"] == [True, False] and done["mean"] == {"b": 1.5, "a": 3.0}


def test_crops_are_dealt_anew_and_outputs_come_back_in_order(two_processes):
    own = [ITEMS[:BATCH].mean().item(), ITEMS[BATCH:].mean().item()]
    for done in two_processes:
        assert torch.equal(done["plain"], 2 * ITEMS)
        means = ((done["company"] - ITEMS) / 100).unique()
        assert means.sum().item() == pytest.approx(sum(own))  # two batches of all eight
        assert means.tolist() != pytest.approx(own)  # which are not the processes' own
    assert distributed.world_size() == 1
