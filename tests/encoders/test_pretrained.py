"""Pretrained front ends: transformers' numbers, MHFA against a loop, training, and bad folders."""

import json
import shutil

import numpy as np
import pytest
import tiny_front_ends
import torch
from safetensors.numpy import load_file, save_file

from sv.encoders import build_encoder, huggingface
from sv.encoders.mhfa import Mhfa
from sv.encoders.pretrained import PretrainedConfig
from sv.errors import InputError

TINY = {"heads": 3, "compression": 8, "channels": 16, "embedding_dim": 12}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("front ends")
    return {kind: tiny_front_ends.write(root / kind, kind) for kind in tiny_front_ends.KINDS}


@pytest.fixture
def folder(folders, tmp_path):
    """A copy to damage."""
    return shutil.copytree(folders["wavlm"], tmp_path / "copy")


def encoder_of(folder, **settings):
    torch.manual_seed(0)
    encoder = build_encoder(PretrainedConfig(folder=str(folder), **{**TINY, **settings}))
    encoder.begin()
    return encoder


def wave(*shape, seed=0):
    return torch.from_numpy(tiny_front_ends.sound(int(np.prod(shape)), seed)).reshape(shape)


@pytest.mark.parametrize("kind", tiny_front_ends.KINDS)
def test_hidden_states_are_those_of_transformers(root, folders, kind):
    expected = json.loads((root / "tests" / "fixtures" / "front_ends.json").read_text())[kind]
    network = encoder_of(folders[kind]).front_end.eval()
    with torch.no_grad():
        states = huggingface.all_layers(network, wave(1, 2400))
    assert states.shape == (3, 1, 14, 16)
    np.testing.assert_allclose(states[:, 0, 3], expected, atol=2e-5)


@pytest.mark.parametrize("change", ["prefix", "old names", "half"])
def test_weights_of_other_writers_are_the_same(folders, folder, change):
    weights = load_file(folder / "model.safetensors")
    if change == "prefix":  # of a model with a head, as WavLMForXVector
        weights = {f"wavlm.{name}": value for name, value in weights.items()}
        weights["classifier.weight"] = np.zeros((3, 2), np.float32)
    elif change == "old names":  # torch before 2.1
        for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
            name = "encoder.pos_conv_embed.conv."
            weights[name + old] = weights.pop(f"{name}parametrizations.weight.{new}")
    else:
        weights = {name: value.astype(np.float16) for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors")
    with torch.no_grad():
        one, other = (encoder_of(x).eval()(wave(2, 1600)) for x in (folders["wavlm"], folder))
    torch.testing.assert_close(one, other, atol=2e-2 if change == "half" else 0, rtol=0)


def test_mhfa_is_the_loop_of_the_paper():
    torch.manual_seed(0)
    mhfa, layers = Mhfa(3, 16, heads=2, compression=4, embedding_dim=5), torch.randn(3, 2, 7, 16)
    torch.nn.init.normal_(mhfa.of_keys), torch.nn.init.normal_(mhfa.of_values)
    of_keys, of_values = mhfa.of_keys.softmax(0), mhfa.of_values.softmax(0)
    for row in range(2):
        keys = [mhfa.keys(sum(of_keys[n] * layers[n, row, t] for n in range(3))) for t in range(7)]
        values = [
            mhfa.values(sum(of_values[n] * layers[n, row, t] for n in range(3))) for t in range(7)
        ]
        logits = torch.stack([mhfa.heads(key) for key in keys])
        parts = []
        for head in range(2):
            weights = logits[:, head].exp() / logits[:, head].exp().sum()
            parts.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
        torch.testing.assert_close(mhfa(layers)[row], mhfa.output(torch.cat(parts)))


@pytest.mark.parametrize("kind", ["wavlm", "wav2vec2"])
@pytest.mark.parametrize("head", ["mhfa", "ecapa"])
def test_alone_and_in_a_padded_batch_give_the_same_embedding(folders, kind, head):
    encoder = encoder_of(folders[kind], head=head).eval()
    lengths = [encoder.min_frames, 400, 1601, 2400]
    batch = torch.full((4, 2500), 7.0)
    for row, length in enumerate(lengths):
        batch[row, :length] = wave(length, seed=row)
    with torch.no_grad():
        together = encoder(batch, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone = encoder(batch[row : row + 1, :length])[0]
            torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)
    assert together.shape == (4, 12) and together.dtype == torch.float32


def test_sixteen_bits_and_floats_are_heard_alike(folders):
    encoder = encoder_of(folders["wav2vec2"]).eval()
    samples = (wave(1, 1600) * 32768).round()
    with torch.no_grad():
        given = encoder(samples.to(torch.int16)), encoder(samples / 32768)
        louder = encoder(samples / 8192)
    torch.testing.assert_close(*given)
    torch.testing.assert_close(louder, given[0], atol=1e-4, rtol=1e-3)  # it is normalised
    assert not encoder_of(folders["wavlm"]).description["normalise"]  # group norm: it is not


def test_a_frozen_front_end_stays_as_it_is(folders):
    encoder = encoder_of(folders["wavlm"], frozen=True).train()
    assert encoder.tuning() is None and not encoder.front_end.training and encoder.head.training
    encoder(wave(2, 1600)).square().sum().backward()
    assert all(weight.grad is None for weight in encoder.front_end.parameters())
    assert all(weight.grad is not None for weight in encoder.head.parameters())
    tuned = encoder_of(folders["wavlm"]).train()
    tuned(wave(2, 1600)).square().sum().backward()
    assert all(weight.grad is not None for weight in tuned.front_end.parameters())


def test_settings_without_the_folder_make_the_same_network(folders):
    """As in a model directory, which is copied to where the folder is not."""
    encoder = encoder_of(folders["hubert"])
    kept = {**vars(encoder.config), "folder": "/nowhere"}
    again = build_encoder(PretrainedConfig(**kept))
    again.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(wave(1, 900)), encoder.eval()(wave(1, 900)))
    with pytest.raises(InputError, match="lacks model.safetensors"):
        again.begin()
    with pytest.raises(InputError, match="needs a front end: --set model.folder=DIR"):
        build_encoder(PretrainedConfig())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"lacks {name}"):
        PretrainedConfig(folder=str(folder))


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_refused_and_the_remedy_named(folder, pickle):
    (folder / "model.safetensors").rename(folder / pickle)
    with pytest.raises(InputError, match=f"{pickle} is a pickle.*safe_serialization"):
        PretrainedConfig(folder=str(folder))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "whisper"}, "model_type is 'whisper'; known are wavlm, wav2vec2, hubert"),
        ({"model_type": None}, "model_type is None"),
        ({"add_adapter": True}, "add_adapter is True, and only False"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"hidden_size": None, "conv_dim": 3}, "a wrong one"),
    ],
)
def test_networks_that_are_not_implemented_are_refused(tmp_path, values, words):
    folder = tiny_front_ends.write(tmp_path, "wavlm", **values)
    with pytest.raises(InputError, match=words):
        PretrainedConfig(folder=str(folder))


def test_damaged_and_foreign_weights_are_refused(folder, folders):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text[:-5])
    with pytest.raises(InputError, match="config.json is not JSON"):
        PretrainedConfig(folder=str(folder))
    (folder / "config.json").write_text(text)
    shutil.copy(folders["hubert"] / "model.safetensors", folder)
    with pytest.raises(InputError, match="does not fit config.json: .*Missing key"):
        encoder_of(folder)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="is damaged, or no safetensors"):
        encoder_of(folder)
    with pytest.raises(InputError, match="is no folder.*nothing is downloaded"):
        PretrainedConfig(folder="microsoft/wavlm-base-plus")


def test_settings_that_cannot_be_are_refused(folder):
    for settings, words in (
        ({"mel_bins": 80}, "model.mel_bins is 0"),
        ({"rate": 2.0}, "model.rate"),
        ({"heads": 0}, "model.heads"),
        ({"architecture": "{}"}, "model.architecture is damaged"),
    ):
        with pytest.raises(InputError, match=words):
            build_encoder(PretrainedConfig(folder=str(folder), **settings))
