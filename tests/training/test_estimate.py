"""What a training says about itself before its first step, and when its pace is known."""

import logging
import re

import pytest
import torch
from tiny_methods import settings_of
from tiny_training import TINY, run

from sv.machine.memory import describe
from sv.methods.base import Facts, Moment, Views
from sv.training import estimate, step_memory
from sv.training.build import build
from sv.training.experiment import Experiment


@pytest.fixture
def told(caplog, monkeypatch):
    """Sentences of a training, which ends its first steps soon."""
    monkeypatch.setattr(estimate, "STEPS", 8)
    monkeypatch.setattr(estimate, "WARM_UP", 2)
    monkeypatch.setattr(estimate, "LONG", 12)
    caplog.set_level(logging.INFO, estimate.__name__)

    def sentences():
        return [r.getMessage() for r in caplog.records if r.name == estimate.__name__]

    return sentences


def test_what_a_training_says(ssps_data, tmp_path, told):
    run(ssps_data, tmp_path, [*TINY, "train.epochs=4"])  # four epochs of three steps
    before, after = told()
    batch = 2 * 8 * 30 * 8 * 4 + 8 * 8  # crops of 30 frames, 8 bands, and utterances
    assert before.startswith("12 steps on ") and f"a batch has {describe(batch)}" in before
    assert re.search(r"a step needs about [\d.]+ MB of [\d.,]+ [GT]B of memory", before)
    assert re.match(r"after 8 steps: [\d.e-]+ s a step, [\d.e-]+ s for the 4 steps left", after)
    shares = dict(re.findall(r"(reading|copying|computing) (\d+)%", after))
    assert 98 <= sum(map(int, shares.values())) <= 102
    worst = max(shares, key=lambda name: int(shares[name]))
    assert f"the bottleneck is {worst} (" in after


def test_slow_reading_is_the_bottleneck(ssps_data, tmp_path, told, monkeypatch):
    from sv.crops.views import ViewSource

    read, clock = ViewSource.__getitem__, [0.0]
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])

    def slow(source, key):
        clock[0] += 3.0
        return read(source, key)

    def step(module, inputs):
        clock[0] += 1.0

    monkeypatch.setattr(ViewSource, "__getitem__", slow)
    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: step(module, inputs) if hasattr(module, "stem") else None
    )
    with handle:
        run(ssps_data, tmp_path, [*TINY, "train.epochs=4", "train.stop=3"])
    before, after = told()
    assert "needs about" not in before  # a training of nine steps ends before it is worth it
    assert "4 s a step, 4 s for the 1 steps left; reading 75%, copying 0%, computing 25%" in after
    assert "raise train.workers" in after


def views_of(settings, groups):
    torch.manual_seed(0)
    size, bands = settings.train.batch_size, settings.model.mel_bins
    crops = {group.name: torch.randn(group.count, size, group.frames, bands) for group in groups}
    return Views(crops, torch.arange(size), moment=Moment(1.5, 10))


def test_memory_of_a_step_is_that_of_the_step():
    settings = Experiment.load(None, settings_of("moco"))
    cpu = torch.device("cpu")
    method, groups = build(settings, Facts(48), None, cpu)
    views = views_of(settings, groups)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    random = torch.get_rng_state()
    forecast = step_memory.step_memory(method, views, cpu, None, "adam")
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    method.train()
    for weight in method.parameters():
        weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
    with step_memory.LivingBytes() as living:
        method.training_step(views)[0].backward()
    weights = sum(w.nbytes for w in method.parameters() if w.requires_grad)
    static = sum(x.nbytes for x in [*method.parameters(), *method.buffers()]) + 3 * weights
    static += sum(x.nbytes for x in views.crops.values())
    assert forecast == pytest.approx(static + living.most, rel=0.02)


def test_a_step_that_reads_values_has_no_forecast():
    settings = Experiment.load(None, settings_of("simclr"))
    method, groups = build(settings, Facts(48), None, torch.device("cpu"))
    method.training_step = lambda views: (views.crops["views"].sum().item(), {})
    views = views_of(settings, groups)
    found = step_memory.step_memory(method, views, torch.device("cpu"), None, "adam")
    assert found is None


@pytest.mark.parametrize(
    "seconds, text",
    [(40, "40 s"), (300, "5 min"), (11520, "3.2 h"), (2.5 * 86400, "2.5 days")],
)
def test_durations(seconds, text):
    assert estimate.duration(seconds) == text
