"""A step in parts: the gradient of the whole batch, for every method that can be cached."""

import copy

import pytest
import torch
from tiny_batches import views_of
from tiny_methods import TINY, settings_of
from tiny_training import SSPS, run, same, state
from torch import nn

from sv.errors import InputError
from sv.methods import build_method
from sv.methods.base import Facts
from sv.training import gradients as in_parts
from sv.training.experiment import Experiment
from sv.training.gradients import Gradients

CPU = torch.device("cpu")
BATCH = 8
REFUSED = {"csc", "csc_supervised"}


class Small(nn.Module):
    """Two layers without norms; ``noisy`` adds dropout and a batch norm."""

    embedding_dim = 5

    def __init__(self, noisy=False):
        super().__init__()
        self.first, self.last = nn.Linear(8, 6), nn.Linear(6, 5)
        self.middle = nn.Sequential(nn.Dropout(0.4), nn.BatchNorm1d(6)) if noisy else nn.Identity()
        self.rows = []  # of each call, and whether it kept a graph

    def forward(self, features):
        self.rows.append((len(features), torch.is_grad_enabled()))
        return self.last(self.middle(self.first(features).tanh().mean(dim=1)))


class WithGraph(nn.Module):
    """The parts of a batch one after the other, with the graph of all: what parts must equal."""

    embedding_dim = 5

    def __init__(self, network, parts):
        super().__init__()
        self.network, self.parts = network, parts

    def forward(self, features):
        return torch.cat([self.network(part) for part in features.tensor_split(self.parts)])


def method_of(name, parts, encoder=None, *more):
    """Return a method in float64, and its gradients in so many parts."""
    torch.manual_seed(0)
    size = [f"train.batch_size={BATCH}", f"train.accumulate={parts}"]
    settings = Experiment.load(None, settings_of(name, *size, *more))
    facts = Facts(utterances=16, speakers=7)
    method = build_method(encoder or Small(), settings.method, facts).double().train()
    return method, Gradients(method, settings.train, CPU, None), settings


def step(name, parts, *more):
    """Return method, loss, figures after a step in so many parts."""
    method, gradients, settings = method_of(name, parts, None, *more)
    views = views_of(method.crop_groups(settings.data), BATCH, slice(None))
    views.crops = {group: crops.double() for group, crops in views.crops.items()}
    return method, *gradients.of(views)


def assert_same(method, other, **tolerance):
    """Compare gradients and buffers."""
    for one, two in zip(method.parameters(), other.parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(two.grad, one.grad, **tolerance)
    for one, two in zip(method.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(two, one, **tolerance)


@pytest.mark.parametrize("name", sorted(TINY.keys() - REFUSED))
def test_parts_give_the_gradient_of_the_whole_batch(name, monkeypatch):
    # Some heads and losses compute in float32 whatever comes in; here in float64, too.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    whole, loss, stats = step(name, 1)
    method, of_parts, figures = step(name, 4)
    how = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(of_parts, loss, **how)
    assert_same(whole, method, **how)
    assert figures.keys() == stats.keys() and figures["embeddings"].shape == (
        stats["embeddings"].shape
    )
    assert any(weight.grad is not None for weight in method.encoder.parameters())
    assert type(method.encoder) is Small  # nothing stands for it any more
    kept = [rows for rows, graph in method.encoder.rows if graph]
    crops = sum(rows for rows, graph in whole.encoder.rows if graph)
    assert max(kept) <= max(rows for rows, _ in whole.encoder.rows) // 4
    assert sum(kept) == crops


def test_a_mean_over_items_is_computed_once():
    assert [graph for _, graph in step("aam", 4)[0].encoder.rows] == [True] * 4
    assert [graph for _, graph in step("supcon", 4)[0].encoder.rows] == [False] * 4 + [True] * 4


def test_dropout_and_batch_norms_are_those_of_the_parts():
    """Both passes drop the same, statistics move once, and the generator goes on as it would."""
    encoder = Small(noisy=True)
    method, gradients, settings = method_of("simclr", 4, copy.deepcopy(encoder))
    kept, one, _ = method_of("simclr", 1, WithGraph(encoder, 4))
    views = views_of(method.crop_groups(settings.data), BATCH, slice(None))
    views.crops["views"] = views.crops["views"].double()
    ends = []
    for each in (one, gradients):
        torch.manual_seed(3)
        each.of(views)
        ends.append(torch.rand(1))
    assert_same(kept, method, rtol=1e-12, atol=1e-15)
    assert ends[0] == ends[1]
    assert int(method.encoder.middle[1].num_batches_tracked) == 4


def test_what_cannot_be_computed_in_parts_is_refused(monkeypatch):
    encoder = Small()
    encoder.sources = 2
    with pytest.raises(InputError, match="csc needs more of the encoder than embeddings.*set tra"):
        method_of("csc", 2, encoder)
    for parts in (3, 8):
        with pytest.raises(InputError, match=f"8 and train.accumulate is {parts}: parts must be"):
            method_of("simclr", parts)
    monkeypatch.setattr(in_parts.distributed, "world_size", lambda: 3)
    with pytest.raises(InputError, match="each of 3 processes.* multiple of 6, at least 12"):
        method_of("simclr", 2)
    with pytest.raises(InputError, match="accumulate must be at least 1, not 0"):
        Experiment.load(None, settings_of("simclr", "train.accumulate=0"))


@pytest.mark.whole
def test_a_training_in_parts_resumes_with_the_same_bits(tmp_path, write_features, stopped_after):
    """SSPS fills its memories and embeds its references in parts, too."""
    data = write_features(tmp_path / "data", [40] * 24)
    settings = [*SSPS, "train.epochs=2", "train.accumulate=4", "augment.time_masks=1"]
    whole = run(data, tmp_path / "whole", settings)
    with stopped_after(1, 1):
        run(data, tmp_path / "resumed", settings)
    with pytest.raises(InputError, match="train.accumulate was 4 and is None"):
        run(data, tmp_path / "resumed", [*settings, "train.accumulate=1"])
    assert same(state(run(data, tmp_path / "resumed", settings)), state(whole))
