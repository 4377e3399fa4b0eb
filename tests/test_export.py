"""Exported graphs against the model on the same audio, at lengths that were not exported."""

import json
import math

import numpy as np
import pytest
import torch

from sv import export as module
from sv.bin import export as program
from sv.errors import InputError
from sv.models import resnet
from sv.speaker_model import SpeakerModel

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
        path = write_model(folder / "final.pt", request.param, mel_bins=20)
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
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    path, loaded = model
    out = tmp_path / "m.onnx"
    program.main(["--model", str(path), "--format", "onnx", "--out", str(out)])
    assert "differs from the model by" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    check(loaded, lambda x: session.run(None, {"waveform": x})[0])
    assert session.get_modelmeta().custom_metadata_map["sample_rate"] == "16000"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]  # no second file of weights


def test_torchscript(model, tmp_path):
    path, loaded = model
    out = tmp_path / "m.ts"
    program.main(["--model", str(path), "--format", "torchscript", "--out", str(out)])
    files = {"about.json": ""}
    graph = torch.jit.load(out, _extra_files=files)
    with torch.inference_mode():
        check(loaded, lambda x: graph(torch.from_numpy(x)).numpy())
    assert json.loads(files["about.json"])["sample_rate"] == "16000"


def test_a_graph_that_differs_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_torchscript_runner", lambda data: lambda x: np.ones((1, 12)))
    with pytest.raises(RuntimeError, match="differs"):
        module.export(model[1], tmp_path / "m.ts", "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript: pip install 'sv-toolkit\[onnx\]'"):
        module.export(model[1], tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_nothing_is_claimed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_onnx", lambda graph, model: b"graph")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert math.isnan(module.export(model[1], tmp_path / "m.onnx", "onnx"))
