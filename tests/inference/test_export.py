"""Exported graphs against the model on the same audio, at lengths that were not exported."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sv.bin import export as program
from sv.encoders import resnet
from sv.errors import InputError
from sv.inference import export as module
from sv.inference import long as blockwise
from sv.inference.speaker_model import SpeakerModel

pytestmark = pytest.mark.whole

RATE = 16000
SECONDS = (0.3, 1.7, 3.01)


def speechlike(seconds, seed):
    """A gliding tone with harmonics in a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(3 * time)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.1 * voice + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="module", params=["ecapa", "fast_resnet34"])
def model(request, tmp_path_factory, write_model):
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "BLOCKS", (1, 1, 1, 1))  # ONNX export takes time for each node
        path = write_model(folder / f"{request.param}.pt", request.param, mel_bins=20)
        yield path, SpeakerModel.load(path)


def check(model, run):
    """Compare ``run`` with the model for single recordings, and for a batch of three."""
    batches = [speechlike(seconds, 0)[None] for seconds in SECONDS]
    batches.append(np.stack([speechlike(1.1, seed) for seed in range(3)]))
    for waveforms in batches:
        found = run(waveforms)
        expected = np.stack([model.embed(waveform, RATE) for waveform in waveforms])
        assert found.shape == expected.shape
        scale = np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


def test_onnx(model, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    path, loaded = model
    out = tmp_path / "m.onnx"
    opset, ir_version, option = (20, 9, ["--opset", "20"]) if "ecapa" in str(path) else (18, 8, [])
    program.main(["--model", str(path), "--format", "onnx", "--out", str(out), *option])
    said = capsys.readouterr().out
    assert "differs from the model by" in said
    assert f"for onnxruntime from {module.OPSETS[opset]} on" in said
    proto = onnx.load(out)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version == ir_version
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", opset)]
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    check(loaded, lambda x: session.run(None, {"waveform": x})[0])
    assert session.get_modelmeta().custom_metadata_map["sample_rate"] == "16000"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]  # no second file of weights


def test_torchscript(model, tmp_path, monkeypatch):
    path, loaded = model
    out = tmp_path / "m.ts"
    program.main(["--model", str(path), "--format", "torchscript", "--out", str(out)])
    files = {"about.json": ""}
    graph = torch.jit.load(out, _extra_files=files)
    with torch.inference_mode():
        check(loaded, lambda x: graph(torch.from_numpy(x)).numpy())
    assert json.loads(files["about.json"])["sample_rate"] == "16000"
    monkeypatch.setattr(blockwise, "LONG_SECONDS", 2)
    monkeypatch.setattr(blockwise, "BLOCK_SECONDS", 1)
    long = speechlike(5, 5)  # the model encodes it in blocks, the graph in one pass
    with torch.inference_mode():
        found = graph(torch.from_numpy(long)[None])[0].numpy()
    expected = loaded.embed(long, RATE)
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


def test_a_graph_that_differs_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_torchscript_runner", lambda data: lambda x: np.ones((1, 12)))
    with pytest.raises(RuntimeError, match="differs"):
        module.export(model[1], tmp_path / "m.ts", "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_every_opset_has_the_oldest_ir_version_that_allows_it():
    """On a graph of two operators; the opsets between are those of ``test_onnx``."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")

    class Mean(torch.nn.Module):
        def forward(self, waveform):
            return waveform.square().mean(dim=1, keepdim=True)

    model = SimpleNamespace(sample_rate=RATE, dim=1, calibration=None)
    for opset in (min(module.OPSETS) + 1, max(module.OPSETS)):
        data = module._onnx(Mean(), model, opset)
        proto = onnx.load_from_string(data)
        assert proto.opset_import[0].version == opset
        assert proto.ir_version == onnx.helper.find_min_ir_version_for(proto.opset_import)
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"waveform": np.full((2, 3000), 0.5, np.float32)})
        np.testing.assert_allclose(found, 0.25)


def test_opsets_that_cannot_be_had(model, tmp_path):
    command = ["--model", str(model[0]), "--out", str(tmp_path / "m")]
    with pytest.raises(InputError, match="--opset 12: can be 18, 19, 20, 21"):
        program.main([*command, "--opset", "12"])
    with pytest.raises(InputError, match="--opset is only for --format onnx"):
        program.main([*command, "--opset", "18", "--format", "torchscript"])
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_opset_says_what_the_table_says(capsys):
    with pytest.raises(SystemExit):
        program.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"the default {module.OPSET} runs in onnxruntime from {module.OPSETS[module.OPSET]}" in said
    )
    for opset, runtime in list(module.OPSETS.items())[1:]:
        assert f"{opset} from {runtime}" in said


def test_missing_packages_are_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript: pip install 'sv-toolkit\[onnx\]'"):
        module.export(model[1], tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_nothing_is_claimed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_onnx", lambda graph, model, opset: b"graph")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert math.isnan(module.export(model[1], tmp_path / "m.onnx", "onnx"))
