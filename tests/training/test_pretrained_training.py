"""A pretrained front end from training to ``sv verify``: rates, pull, resuming, files, export."""

import json
import shutil

import numpy as np
import pytest
import tiny_front_ends
import tiny_training
import torch

import sv
from sv import checkpoint
from sv.audio.files import write_audio
from sv.bin import average, embed, export, package, train, verify
from sv.encoders import build_encoder
from sv.encoders.pretrained import PretrainedConfig
from sv.errors import InputError
from sv.kaldi.arks import load_vectors
from sv.training.cost import cost_of_crop, describe_cost
from sv.training.optim import OptimConfig, build_optimizer, set_learning_rate

pytestmark = pytest.mark.whole

SETTINGS = [
    "data.domain=wave",
    "data.crop_seconds=0.2",
    "model.name=pretrained",
    "model.heads=3",
    "model.compression=8",
    "model.embedding_dim=12",
    "augment.room_probability=0",
    "augment.noise_probability=0",
    "train.batch_size=8",
    "train.workers=0",
    "train.epochs=2",
    "optim.lr=0.005",
    "optim.warmup_epochs=0",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_waves):
    return write_waves(tmp_path_factory.mktemp("data"), [4000 + 300 * n for n in range(16)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_front_ends.write(tmp_path_factory.mktemp("tiny") / "wavlm", "wavlm")


@pytest.fixture(scope="module")
def exp(tmp_path_factory, data, folder):
    out = tmp_path_factory.mktemp("exp") / "exp"
    tiny_training.run(data, out, [*SETTINGS, f"model.folder={folder}"])
    average.main(["--exp", str(out), "--last", "1", "--out", str(out / "final.pt")])
    return out


def encoder_of(folder, **settings):
    torch.manual_seed(0)
    config = PretrainedConfig(folder=str(folder), heads=3, compression=8, embedding_dim=12)
    for name, value in settings.items():
        setattr(config, name, value)
    encoder = build_encoder(config)
    encoder.begin()
    return encoder


def test_training_moves_the_front_end_little_and_the_rest_more(exp, folder):
    first, last = (checkpoint.load(checkpoint.epoch_path(exp, n))["encoder"] for n in (0, 2))
    begun = encoder_of(folder).state_dict()
    moved = {"front_end": 0.0, "head": 0.0}
    for name, value in first.items():
        part = name.split(".")[0]
        if part == "front_end":
            torch.testing.assert_close(value, begun[name])  # it begins with the folder's weights
        moved[part] = max(moved[part], float((last[name] - value).abs().max()))
    assert 0 < moved["front_end"] < 0.05 * moved["head"]


def test_a_training_that_stopped_ends_with_the_same_bits(exp, data, folder, tmp_path, monkeypatch):
    from sv.training.trainer import Trainer

    words = [*SETTINGS, f"model.folder={folder}"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "stop_at", (1, 1))
        with pytest.raises(BaseException):  # noqa: B017  as a signal would
            tiny_training.run(data, tmp_path / "again", words)
    tiny_training.run(data, tmp_path / "again", words)
    assert tiny_training.same(tiny_training.state(exp), tiny_training.state(tmp_path / "again"))


def test_other_weights_in_the_folder_are_another_training(exp, data, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    tiny_front_ends.write(other, "wavlm")
    weights = (other / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\0")
    copy = shutil.copytree(exp, tmp_path / "exp")
    with pytest.raises(InputError, match="model"):
        tiny_training.run(data, copy, [*SETTINGS, f"model.folder={other}"])


def test_rates_and_the_pull_are_those_of_the_formula(folder):
    torch.manual_seed(0)
    encoder = encoder_of(folder, pull=0.3, rate=0.1)
    config = OptimConfig(name="sgd", lr=0.5, momentum=0.0, weight_decay=0.0)
    optimizer = build_optimizer(config, encoder)
    set_learning_rate(optimizer, 0.5)
    parts = dict(encoder.named_parameters())
    start = {name: value.detach().clone() for name, value in parts.items()}
    with torch.no_grad():
        for value in parts.values():
            value.add_(0.01)
    moved = {name: value.detach().clone() for name, value in parts.items()}
    for value in parts.values():
        value.grad = torch.full_like(value, 0.2)
    optimizer.step()
    for name, value in parts.items():
        slow = name.startswith("front_end.")
        gradient = 0.2 + (2 * 0.3 * (moved[name] - start[name]) if slow else 0.0)
        expected = moved[name] - 0.5 * (0.1 if slow else 1.0) * gradient
        torch.testing.assert_close(value.detach(), expected)
    assert {id(w) for group in optimizer.param_groups for w in group["params"]} == {
        id(w) for w in encoder.parameters()
    }


def test_cost_is_what_torch_keeps_and_is_said_before_training(folder, data, tmp_path, capsys):
    encoder = encoder_of(folder).train()
    weights = {w.untyped_storage().data_ptr() for w in encoder.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        encoder(torch.zeros(2, 3200))
    found = cost_of_crop(encoder.config, 3200)
    assert found.kept == pytest.approx(sum(s.nbytes() for s in kept.values()) / 2, rel=0.25)
    front = sum(w.numel() for w in encoder.front_end.parameters())
    total = sum(w.numel() for w in encoder.parameters())
    assert found.weights == 4 * (4 * total + front)
    frozen = cost_of_crop(encoder_of(folder, frozen=True).config, 3200)
    assert frozen.kept < 0.3 * found.kept and frozen.flops < found.flops
    assert "a step needs about" in describe_cost(encoder.config, [(8, 3200)])
    words = [*SETTINGS, f"model.folder={folder}", "train.epochs=0"]
    train.main(tiny_training.words(data, tmp_path / "none", words))
    assert "for the activations of 16 crops" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["augment.time_masks=1"], "masks hide parts of a filterbank"),
        (["model.mel_bins=80"], "model.mel_bins is 0"),
        (["model.folder=/nowhere"], "is no folder"),
    ],
)
def test_settings_that_do_not_fit_are_refused(data, folder, tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        tiny_training.run(data, tmp_path / "x", [*SETTINGS, f"model.folder={folder}", *settings])


def test_filterbanks_are_refused_in_training_and_in_use(
    exp, data, folder, tmp_path, write_features, write_model
):
    features = write_features(tmp_path / "features", [60] * 16)
    words = [*SETTINGS, f"model.folder={folder}", "data.domain=fbank"]
    with pytest.raises(InputError, match="takes waveforms, and data.domain is fbank.*--wave true"):
        tiny_training.run(features, tmp_path / "x", words)
    with pytest.raises(InputError, match="--wave true"):
        model = ["--model", str(exp / "final.pt"), "--out", str(tmp_path / "e")]
        embed.main([*model, "--data", str(features)])


def test_another_sample_rate_is_refused(data, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "8 kHz")
    (other / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(InputError, match="sampled at 16000 Hz.*pretrained on 8000 Hz: resample"):
        tiny_training.run(data, tmp_path / "x", [*SETTINGS, f"model.folder={other}"])


def test_the_model_directory_is_whole_without_the_folder(exp, data, folder, tmp_path, capsys):
    """Embeddings of data, of files, of a model directory and of its graph are the same."""
    words = ["--exp", str(exp), "--out", str(tmp_path / "m")]
    package.main(words)
    with pytest.raises(InputError, match="the model takes audio at 16000 Hz"):
        package.main([*words, "--sample-rate", "8000"])
    settings = (tmp_path / "m" / "config.yaml").read_text()
    (tmp_path / "m" / "config.yaml").write_text(settings.replace(str(folder), "/nowhere"))
    model = sv.load(tmp_path / "m")
    embed.main(["--model", str(tmp_path / "m"), "--data", str(data), "--out", f"{tmp_path}/e"])
    ids, vectors = load_vectors(f"scp:{tmp_path}/e.scp")
    from sv.crops.wave_index import WaveformIndex

    index = WaveformIndex.load(data)
    row = index.ids(slice(None)).index(ids[3])
    start = np.zeros(1, np.int64)
    samples = index.read_windows(np.array([row]), start, int(index.lengths[row]))[0]
    np.testing.assert_allclose(model.embed(samples, 16000), vectors[3], atol=1e-5)
    for name, seed in (("a", 0), ("b", 1)):
        write_audio(tmp_path / f"{name}.wav", tiny_front_ends.sound(8000, seed), 16000)
    capsys.readouterr()
    audio = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    verify.main([*audio, "--model", str(tmp_path / "m"), "--json"])
    assert -1 <= json.loads(capsys.readouterr().out)["cosine"] <= 1
    graph = ["--format", "torchscript", "--out", str(tmp_path / "m.ts")]
    export.main(["--model", str(tmp_path / "m"), *graph])  # compares it with the model
    crops = ["--crops", "2", "--crop-seconds", "0.2", "--out", f"{tmp_path}/c"]
    embed.main(["--model", str(exp / "final.pt"), "--data", str(data), *crops])
    with pytest.raises(InputError, match="digital silence"):
        model.embed(np.zeros(8000, np.float32), 16000)
    card = (tmp_path / "m" / "README.md").read_text()
    assert "It takes audio at 16000 Hz." in card and "mel bands" not in card
