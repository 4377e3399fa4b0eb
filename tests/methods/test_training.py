"""Every method through the training program: it learns, resumes exactly, is named on collapse."""

import json

import pytest
import torch
from tiny_methods import TINY, settings_of, supervised

from sv import checkpoint
from sv.bin import train
from sv.data.glossary import missing
from sv.errors import InputError
from sv.training.monitor import TrainingFailed

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    folder = write_features(tmp_path_factory.mktemp("data"), [40] * 16)
    speakers = [f"utt{number:03d} speaker{number // 2}\n" for number in range(16)]
    (folder / "labels").write_text("".join(speakers))
    return folder


def run(data, out, method, *more):
    settings = settings_of(method, "augment.noise_probability=0", "train.epochs=2", *more)
    flags = [part for text in settings for part in ("--set", text)]
    if supervised(method):
        flags += ["--labels", str(data / "labels")]
    train.main(["--data", str(data), "--out", str(out), "--device", "cpu", *flags])
    return out


def model(out, epoch):
    return checkpoint.load(checkpoint.epoch_path(out, epoch))["encoder"]


@pytest.mark.parametrize("method", sorted(TINY))
def test_interrupted_and_resumed_gives_the_same_bits(data, tmp_path, stopped_after, method):
    whole = run(data, tmp_path / "whole", method)
    # In the middle of the second epoch; after the first if there is one step an epoch.
    with stopped_after(1, 0 if supervised(method) else 1):
        run(data, tmp_path / "resumed", method)
    resumed = run(data, tmp_path / "resumed", method)
    states = [checkpoint.load(checkpoint.state_path(out))["method"] for out in (whole, resumed)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():  # what is no tensor is an extra state
        other = states[1][name]
        assert torch.equal(value, other) if torch.is_tensor(value) else value == other, name
    first, last = model(whole, 0), model(whole, 2)
    assert any(not torch.equal(first[name], last[name]) for name in first)
    rows = [json.loads(line) for line in (whole / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and all(row["positive_cosine"] <= 1 + 1e-6 for row in rows)
    assert missing(rows[0]) == []  # every figure of every method is in the glossary


def test_the_teacher_is_what_is_saved(data, tmp_path):
    out = run(data, tmp_path, "dino", "train.epochs=1")
    state = checkpoint.load(checkpoint.state_path(out))["method"]
    saved = model(out, 1)
    assert all(torch.equal(saved[name], state[f"teacher_encoder.{name}"]) for name in saved)
    assert any(not torch.equal(saved[name], state[f"encoder.{name}"]) for name in saved)


@pytest.mark.parametrize(
    ("method", "settings", "diagnosis"),
    [
        ("dino", ["method.teacher_temp=20"], "the outputs are uniform for every crop"),
        (
            "dino",
            ["method.center_momentum=1", "method.momentum=0", "optim.lr=0.05"],
            "the outputs are the same for every crop",
        ),
        ("vicreg", ["method.variance=0", "optim.lr=0.05"], "standard deviation"),
        ("sdpn", ["method.sharpening=50"], "the outputs are uniform for every crop"),
        (
            "label_efficient",
            ["method.variance=0", "method.covariance=0", "method.temperature=50", "optim.lr=0.3"],
            "standard deviation",
        ),
        ("swav", ["method.epsilon=50", "optim.lr=0.1"], "the loss stays at chance|outputs are"),
        ("rdino", ["method.teacher_temp=20"], "the outputs are uniform for every crop"),
        ("ca_dino", ["method.teacher_temp=20"], "the outputs are uniform for every crop"),
        ("deepcluster", ["method.temperature=20", "optim.lr=0.05"], "the loss stays at chance"),
        ("moco_proto", ["method.temperature=5", "optim.lr=0.3"], "the loss stays at chance"),
        ("cpc", ["optim.lr=0.3"], "the loss stays at chance"),
        ("lim", ["optim.lr=0.5"], "the loss stays at chance"),
    ],
)
def test_a_run_made_to_collapse_is_stopped_with_a_diagnosis(
    data, tmp_path, method, settings, diagnosis
):
    with pytest.raises(TrainingFailed, match=f"training has collapsed: for 3 epochs.*{diagnosis}"):
        run(data, tmp_path, method, "train.epochs=40", *settings)


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("moco", "method.queue_size=17", "queue_size is 17 but the training set has 16"),
        ("moco", "method.margin_type=none", None),
        ("simclr", "method.margin_type=none", None),
        ("dino", "method.global_seconds=0.1", "global_seconds is 0.1"),
    ],
)
def test_bad_settings_are_said_before_training(data, tmp_path, method, setting, message):
    more = ["method.margin=0.1"] if message is None else []
    with pytest.raises(InputError, match=message or "margin is 0.1 but margin_type is none"):
        run(data, tmp_path / "exp", method, setting, *more)
    assert not (tmp_path / "exp" / "checkpoints").exists()


@pytest.mark.parametrize("method", sorted(set(TINY) - {"csc", *filter(supervised, TINY)}))
def test_positives_from_other_recordings(data, tmp_path, method):
    ssps = ["enabled=true", "clusters=4", "queue=16", "nearest=1", "reference_seconds=0.3"]
    out = run(data, tmp_path, method, "train.epochs=3", *(f"ssps.{text}" for text in ssps))
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert "coverage" not in rows[0]  # it fills the memories
    assert rows[-1]["coverage"] > 0
