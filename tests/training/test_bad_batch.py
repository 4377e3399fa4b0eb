"""A loss that is not finite: the batch that made it is saved, and a program shows it."""

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_training import TINY, run

from sv.bin import show_bad_batch
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter
from sv.training.bad_batch import RecentLosses
from sv.training.monitor import TrainingFailed

SETTINGS = [
    *TINY,
    "data.normalise=none",
    "augment.noise_probability=0.5",
    "train.batch_size=2",
    "train.epochs=2",
    "method.temperature=0.1",
]
BAD = "utt005"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Features of ten utterances, of which one holds numbers that are none."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "feats.ark", folder / "feats.scp", None) as writer:
        for number in range(10):
            features = rng.standard_normal((40, 8)).astype(np.float32)
            if number == 5:
                features[:, 3] = np.nan
            writer.write(f"utt{number:03d}", features)
    (folder / "utt2num_frames").write_text("".join(f"utt{n:03d} 40\n" for n in range(10)))
    return folder


@pytest.mark.parametrize("babble", ["[0, 0]", "[3, 5]"])
@pytest.mark.whole
def test_the_batch_that_made_it_is_saved_and_shown(data, tmp_path, capsys, babble):
    """Losses are looked at now and then; the batch is that of the first bad loss."""
    noise = "augment.noise_probability=0" if babble == "[0, 0]" else "augment.noise_probability=1"
    with pytest.raises(TrainingFailed) as caught:
        run(data, tmp_path, [*SETTINGS, noise, f"augment.babble_speakers={babble}"])
    told, path = str(caught.value), tmp_path / "bad_batch.safetensors"
    assert "the loss is nan in epoch 1, step " in told and "optim.lr" in told
    assert f"python -m sv.bin.show_bad_batch {path}" in told
    capsys.readouterr()
    show_bad_batch.main([str(path), "--items"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("epoch 1, step ") and shown[0].endswith("loss nan")
    assert told.split("step ")[1].split(":")[0] == shown[0].split("step ")[1].split(",")[0]
    rows = {line.split()[0]: line for line in shown if line.startswith("views/")}
    assert "2 x 2 x 30 x 8" in rows["views/signal"] and "nan" in rows["views/input"]
    culprits = [line for line in shown if "not finite in" in line]
    if babble == "[0, 0]":  # one item, by its own crops
        assert len(culprits) == 1 and f"({BAD})" in culprits[0]
        assert culprits[0].endswith("not finite in views/input, views/signal")
    else:  # it may also have been among the talkers of the babble
        assert culprits and all("views/" in line for line in culprits)
    assert sum(line.startswith("item") and "; " in line for line in shown) == 2
    show_bad_batch.main([str(path), "--only", "views/input"])
    shown = capsys.readouterr().out
    assert "views/input" in shown and "views/signal" not in shown
    with pytest.raises(InputError, match=r"no array 'input': it has views/input, views/.*signal"):
        show_bad_batch.main([str(path), "--only", "input"])


def test_a_batch_of_finite_numbers_points_at_the_network(tmp_path, capsys, write_features):
    data = write_features(tmp_path / "data", [40] * 10)
    with pytest.raises(TrainingFailed, match="show_bad_batch"):
        run(data, tmp_path, [*SETTINGS, "optim.lr=1e9", "train.epochs=1"])
    show_bad_batch.main([str(tmp_path / "bad_batch.safetensors")])
    shown = capsys.readouterr().out
    assert "every number of the batch is finite" in shown and "utterances: utt" in shown


def test_a_batch_that_cannot_be_saved_keeps_the_diagnosis(data, tmp_path, monkeypatch):
    from sv.training import bad_batch

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bad_batch, "atomic_write", full)
    with pytest.raises(TrainingFailed, match=r"the loss is nan.*not be saved .the disk is full"):
        run(data, tmp_path, SETTINGS)


def test_the_first_bad_loss_is_found_and_forgotten():
    losses = RecentLosses()
    assert losses.first_bad() is None
    for step, loss in enumerate((1.0, 2.0, float("inf"), float("nan"))):
        losses.add(step + 7, torch.tensor(loss))
    assert losses.first_bad() == (9, float("inf"), True)
    assert losses.first_bad() is None
    losses.add(11, torch.tensor(1.0))
    assert losses.first_bad() is None


@pytest.mark.parametrize("kind", ["missing", "text", "other"])
def test_another_file_is_refused(tmp_path, kind):
    path = tmp_path / "x.safetensors"
    if kind == "text":
        path.write_text("nothing of the kind")
    elif kind == "other":
        path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.raises(InputError, match=r"x\.safetensors: not a batch that training saved"):
        show_bad_batch.main([str(path)])
