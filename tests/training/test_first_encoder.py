"""A training that starts from the encoder of another one: what is taken over, what is refused."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from fork_server import fork_python
from tiny_methods import settings_of
from tiny_training import run, words

from sv import checkpoint
from sv.bin import train
from sv.encoders import build_encoder
from sv.errors import InputError, OtherTraining
from sv.inference import model_dir
from sv.methods import build_method
from sv.methods.base import Facts
from sv.training.experiment import Experiment
from sv.training.first_encoder import FirstEncoder

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
MORE = ["augment.noise_probability=0", "train.epochs=1"]
DINO = settings_of("dino", *MORE)


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    return write_features(tmp_path_factory.mktemp("data"), [40] * 16)


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    """The model of a training by C3's first stage."""
    out = run(data, tmp_path_factory.mktemp("c3"), settings_of("moco_c3", *MORE))
    return checkpoint.epoch_path(out, 1)


@pytest.fixture(scope="module")
def second(data, first, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("dino"), DINO, encoder=first)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_first_model_is_that_encoder_and_training_goes_elsewhere(first, second):
    weights = checkpoint.load(first)["encoder"]
    assert same(checkpoint.load(checkpoint.epoch_path(second, 0))["encoder"], weights)
    assert not same(checkpoint.load(checkpoint.epoch_path(second, 1))["encoder"], weights)


@pytest.mark.parametrize("name", ["dino", "sdpn", "byol", "moco", "simclr"])
def test_student_and_teacher_start_from_it_and_nothing_else_does(first, name):
    settings = Experiment.load(None, settings_of(name))
    torch.manual_seed(0)
    method = build_method(build_encoder(settings.model), settings.method, Facts(16))
    before = {key: value.clone() for key, value in method.state_dict().items()}
    model = checkpoint.load(first)
    given = FirstEncoder(
        first, model["encoder"], model["model"], model["normalise"], model["preset"]
    )
    given.put_into(method, settings)
    copies = 0
    for key, value in method.state_dict().items():
        network, _, weight = key.partition(".")
        whole = network.endswith("encoder")
        copies += whole
        torch.testing.assert_close(value, given.weights[weight] if whole else before[key])
    assert copies == len(given.weights) * (1 if name == "simclr" else 2)


def test_a_model_directory_is_the_same_training_and_another_encoder_is_not(
    data, first, second, tmp_path
):
    model = checkpoint.load(first)
    features = model_dir.FeatureConfig(mel_bins=8, normalise=model["normalise"])
    model_dir.write(tmp_path / "model", model["encoder"], model["model"], features, None, "a card")
    run(data, second, DINO, encoder=tmp_path / "model")  # complete: nothing is done
    for other in (None, checkpoint.epoch_path(first.parents[1], 0)):
        with pytest.raises(OtherTraining, match="the first encoder has changed"):
            run(data, second, DINO, encoder=other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ["model.name=ecapa", "model.channels=16", "model.pooled_channels=16"],
            r"epoch_0001.pt is the encoder fast_resnet34, and model.name of this training is ecapa",
        ),
        (
            ["model.embedding_dim=12"],
            r"another fast_resnet34.*model.embedding_dim is 8 there and 12 here.*"
            r'--set "model.embedding_dim=8"',
        ),
        (["data.normalise=mean_var"], "data.normalise is mean there and mean_var here"),
    ],
)
def test_an_encoder_of_another_shape_or_architecture_is_refused(
    data, first, tmp_path, change, message
):
    settings = [text for text in DINO if not (change[0][:10] == "model.name" and "model." in text)]
    bands = ["model.mel_bins=8"]
    with pytest.raises(InputError, match=message):
        run(data, tmp_path / "exp", [*settings, *bands, *change], encoder=first)
    assert not (tmp_path / "exp" / "checkpoints").exists()


def test_a_state_is_no_encoder_and_a_base_and_an_encoder_are_one_too_many(
    data, first, tmp_path, capsys
):
    state = checkpoint.state_path(first.parents[1])
    with pytest.raises(InputError, match=r"last.pt is not a model: give final.pt"):
        run(data, tmp_path, DINO, encoder=state)
    with pytest.raises(SystemExit):
        train.main(words(data, tmp_path, DINO, encoder=first, base=first.parents[1]))
    assert "--base gives all weights, --encoder those of the encoder" in capsys.readouterr().err


def test_the_stage_script_hands_it_on(data, first, tmp_path):
    config, banks = tmp_path / "conf.yaml", tmp_path / "banks"
    Experiment.load(None, [*DINO, "model.embedding_dim=12"]).save(config)
    banks.mkdir()
    (banks / ".banks.done").touch()
    given = ["--config", config, "--encoder", first, data, banks, tmp_path / "exp"]
    done = subprocess.run(
        ["bash", *map(str, [ROOT / "local/train.sh", *given])],
        env=os.environ | {"SV_PYTHON": fork_python()},
        capture_output=True,
        text=True,
    )
    assert done.returncode and f"{first} is another fast_resnet34" in done.stdout + done.stderr
