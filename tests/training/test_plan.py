"""A base that stops inside a longer plan, and what goes on from it as if it had never stopped."""

import json

import pytest
import tiny_training
import torch

from sv import checkpoint
from sv.errors import InputError

pytestmark = pytest.mark.whole

SETTINGS = [
    "model.name=ecapa",
    "model.mel_bins=8",
    "model.channels=16",
    "model.pooled_channels=16",
    "model.embedding_dim=8",
    "data.crop_seconds=0.2",
    "augment.room_probability=0",
    "augment.noise_probability=0.5",
    "train.batch_size=8",
    "train.workers=0",
    "train.epochs=4",
    "optim.name=sgd",
    "optim.lr=0.02",
]
DINO = [
    "method.name=dino",
    "method.global_seconds=0.3",
    "method.local_crops=1",
    "method.hidden=[8]",
    "method.bottleneck=4",
    "method.outputs=12",
    "optim.clip_norm=0.5",
    "optim.clip_by=parameter",
]
COSINE = ["method.temperature=0.1", "optim.schedule=cosine"]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    return write_features(tmp_path_factory.mktemp("data"), [50 + n for n in range(17)])


def run(data, out, *more, base=None):
    return tiny_training.run(data, out, [*SETTINGS, *more], base=base)


def log(out, name):
    return [row[name] for row in tiny_training.log(out)]


def state(out):
    found = checkpoint.load(checkpoint.state_path(out))
    return {name: value for name, value in found["method"].items() if torch.is_tensor(value)}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize("method", [DINO, COSINE], ids=["dino", "simclr"])
def test_what_goes_on_from_a_stopped_base_equals_what_never_stopped(data, tmp_path, method):
    whole = run(data, tmp_path / "whole", *method)
    base = run(data, tmp_path / "base", *method, "train.stop=2")
    assert log(base, "epoch") == [1, 2]
    assert json.loads((base / "train.json").read_text())["epochs"] == 2
    more = run(data, tmp_path / "more", *method, base=base)
    assert log(base, "lr") + log(more, "lr") == log(whole, "lr")
    assert_same(state(more), state(whole))
    # Or in the same folder, with a later stop.
    run(data, base, *method, "train.stop=3")
    run(data, base, *method)
    assert log(base, "epoch") == [1, 2, 3, 4]
    assert_same(state(base), state(whole))
    with pytest.raises(InputError, match="has trained for 4 epochs, and .* after 3: raise train"):
        run(data, base, *method, "train.stop=3")


def test_a_base_made_with_another_plan_is_refused(data, tmp_path):
    base = run(data, tmp_path / "cosine", *COSINE, "train.epochs=2")
    with pytest.raises(InputError) as caught:
        run(data, tmp_path / "more", *COSINE, base=base)
    text = str(caught.value)
    assert "was planned for 2 epochs, this training for 4" in text
    assert "the learning rate would jump from 0 to 0.01" in text
    assert text.endswith("train the base with train.epochs=4 and train.stop=2")
    assert not (tmp_path / "more" / "checkpoints").exists()
    # A rate that is chosen for the second phase, and depends on no plan, is no seam.
    run(data, tmp_path / "constant", *COSINE, "optim.schedule=constant", base=base)

    base = run(data, tmp_path / "dino", *DINO, "train.epochs=2")
    with pytest.raises(InputError, match="the teacher's momentum would jump from 1 to 0.998"):
        run(data, tmp_path / "dino more", *DINO, base=base)

    warm = [*COSINE, "optim.schedule=constant", "method.margin_warmup=0.9"]
    base = run(data, tmp_path / "margin", *warm, "train.epochs=2")
    with pytest.raises(InputError, match="the margin would jump from 0.1 to 0.0"):
        run(data, tmp_path / "margin more", *warm, base=base)
