"""The choice of kernels: what `auto` means, what a checkpoint remembers, what is compiled."""

import copy

import pytest
import torch
from tiny_training import TINY, run
from torch import nn

from sv import checkpoint
from sv.encoders.base import Encoder
from sv.encoders.sync_norm import synchronise
from sv.errors import InputError, OtherTraining
from sv.training import compiled
from sv.training.compiled import compile_networks
from sv.training.experiment import Experiment
from sv.training.identity import differences
from sv.training.kernels import FASTEST, KernelConfig, Kernels, lay_out
from sv.training.optim import OptimConfig, build_optimizer

CPU = torch.device("cpu")


class Tiny(Encoder):
    """Three layers, and a graph break, which cannot be compiled, if ``breaks`` is true."""

    def __init__(self, breaks=False):
        super().__init__()
        self.conv, self.norm, self.breaks = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), breaks

    def forward(self, features, lengths=None):
        if self.breaks:
            torch._dynamo.graph_break()
        return self.norm(self.conv(features[:, None]).relu()).mean((2, 3))


class TinyMethod(nn.Module):
    """An encoder and a head."""

    def __init__(self, breaks=False):
        super().__init__()
        self.encoder, self.head = Tiny(breaks), nn.Sequential(nn.Linear(4, 2))


def choose(device="cpu", **settings):
    return Kernels.choose(KernelConfig(**settings), torch.device(device))


def test_a_cpu_is_exact_and_compiles_only_if_told():
    assert choose() == Kernels(True, False, False, None, CPU) and choose().identity == ""
    assert choose(compile=True).identity == "compiled"
    assert choose(exact=False, compile=True).identity == FASTEST
    assert choose(memory_format="contiguous").identity == "contiguous"
    with pytest.raises(InputError, match="graphs needs a GPU"):
        choose(compile="graphs")


def test_what_an_exact_training_goes_on_from():
    def refused(before, now):
        entry = {"choice of kernels": before} if before is not None else {}
        return differences({"settings": {}, **entry}, {"settings": {}, "choice of kernels": now})

    assert not refused(None, "") and not refused("compiled", FASTEST)
    for before, now in (("", "compiled"), ("compiled", ""), (FASTEST, ""), (None, "compiled")):
        assert refused(before, now) == ["the choice of kernels has changed"]


def test_the_optimizer_of_a_checkpoint_from_another_device_keeps_its_own_kernels():
    layer = nn.Linear(2, 2)
    optimizer = build_optimizer(OptimConfig(), layer)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        group["fused"] = True
    optimizer.load_state_dict(saved)
    assert all(group["fused"] is None for group in optimizer.param_groups)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_encoder_in_a_memory_layout(layout):
    torch.manual_seed(0)
    encoder, seen = Tiny(), []
    x = torch.randn(2, 9, 8)
    expected = encoder(x)
    lay_out(encoder, layout)
    encoder.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.testing.assert_close(encoder(x), expected)
    assert seen[0].is_contiguous(memory_format=layout)


def test_without_a_compiler_or_with_joined_norms_one_line_says_why(monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compile_networks(TinyMethod(), CPU) == []
    assert compile_networks(synchronise(TinyMethod()), CPU) == []
    first, second = capsys.readouterr().err.splitlines()
    assert "install g++" in first and "train.sync_batch_norm" in second


class Failing:
    """A compiler that fails in every call, and counts the calls."""

    def __init__(self, plain, **options):
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        raise torch._dynamo.exc.Unsupported("a graph\n  break")


def test_what_cannot_be_compiled_computes_as_written_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", Failing)
    monkeypatch.setattr(compiled, "has_compiler", lambda: True)
    method, x = TinyMethod(), torch.randn(2, 9, 8)
    expected = copy.deepcopy(method).encoder(x)
    assert compile_networks(method, CPU) == ["encoder", "head"]
    call = method.encoder._compiled_call_impl
    method.encoder(x, torch.tensor([9, 9]))  # lengths: never compiled
    with torch.inference_mode():
        method.encoder(x)
    assert call.compiled.calls == 0
    method.encoder.load_state_dict(TinyMethod().encoder.state_dict() | method.encoder.state_dict())
    assert method.encoder(x).shape == expected.shape and method.encoder(x) is not None
    assert call.compiled.calls == 1 and call.gave_up
    assert capsys.readouterr().err == "note: encoder is not compiled: a graph break\n"


def test_no_more_than_a_few_shapes_are_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda plain, **options: lambda x: 0)
    monkeypatch.setattr(compiled, "MOST_SHAPES", 2)
    call = compiled.CompiledCall(Tiny(), "encoder")
    results = [call(torch.randn(2, frames, 8)) for frames in (5, 6, 5, 7, 6)]
    assert [isinstance(result, int) for result in results] == [True, True, True, False, True]


def test_a_switch_is_a_word_or_a_boolean():
    for text, value in (("auto", "auto"), ("true", True), ("'false'", False), ("graphs", "graphs")):
        assert Experiment.load(None, [f"train.compile={text}"]).train.compile is value
    with pytest.raises(InputError, match="did you mean 'graphs'"):
        Experiment.load(None, ["train.compile=graph"])
    with pytest.raises(InputError, match="known: auto, true, false"):
        Experiment.load(None, ["train.exact=1"])


@pytest.mark.whole
def test_a_training_remembers_its_kernels(ssps_data, tmp_path):
    settings = [*TINY, "train.epochs=1", "train.memory_format=contiguous"]
    run(ssps_data, tmp_path, settings)
    found = checkpoint.load(checkpoint.state_path(tmp_path))["identity"]
    assert found["choice of kernels"] == "contiguous" and "exact" not in found["settings"]["train"]
    with pytest.raises(OtherTraining, match="choice of kernels"):
        run(ssps_data, tmp_path, [*TINY, "train.epochs=1"])


needs_compiler = pytest.mark.skipif(
    not compiled.has_compiler(), reason="torch.compile on a CPU needs a C++ compiler"
)


@pytest.mark.thorough
@needs_compiler
def test_compiled_networks_give_the_same_loss_gradients_and_names():
    torch.manual_seed(0)
    method, x = TinyMethod(), torch.randn(2, 9, 8)
    plain = copy.deepcopy(method)
    compile_networks(method, CPU)
    for network in (plain, method):
        network.head(network.encoder(x)).square().sum().backward()
    assert not method.encoder._compiled_call_impl.gave_up
    assert list(method.state_dict()) == list(plain.state_dict())
    for ours, theirs in zip(method.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(method.state_dict(), plain.state_dict())
    copied = copy.deepcopy(method)
    assert copied.encoder._compiled_call_impl is None  # as for export


@pytest.mark.thorough
@needs_compiler
@pytest.mark.parametrize("obstacle", ["graph break", "compiler"])
def test_a_real_failure_falls_back(obstacle, capsys, monkeypatch):
    method = TinyMethod(breaks=obstacle == "graph break")
    if obstacle == "compiler":  # it is there, and fails
        monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("false",))
        monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
        torch.compiler.reset()  # forget what another test has compiled in this process
    compile_networks(method, CPU)
    x = torch.randn(2, 9, 8)
    expected = copy.deepcopy(method).encoder(x)
    assert torch.equal(method.encoder(x), expected)
    assert method.encoder.norm.num_batches_tracked == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(lines) == 1 and lines[0].startswith("note: encoder is not compiled: ")
