"""Training: it learns, it resumes exactly, it never sees a label, it refuses what cannot work."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from sv import checkpoint
from sv.bin import average, train
from sv.errors import InputError, OtherTraining
from sv.training.monitor import TrainingFailed
from sv.training.stopping import REQUEUE

pytestmark = pytest.mark.whole

SMALL = [
    "model.mel_bins=8",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=16",
    "data.crop_seconds=0.3",
    "augment.room_probability=0",
    "augment.noise_probability=0.5",
    "train.batch_size=8",
    "train.epochs=3",
    "train.workers=0",
    "method.temperature=0.1",
    "data.normalise=none",
    "optim.lr=0.005",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    return write_features(tmp_path_factory.mktemp("data"), [50 + n for n in range(24)])


def arguments(data, out, *more):
    settings = [part for text in [*SMALL, *more] for part in ("--set", text)]
    config = ["--set", "model.name=fast_resnet34", *settings]
    return ["--data", str(data), "--out", str(out), "--device", "cpu", *config]


def weights(out, epoch):
    return checkpoint.load(checkpoint.epoch_path(out, epoch))["encoder"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run_to(data, out, *more):
    train.main(arguments(data, out, *more))
    return out


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return run_to(data, tmp_path_factory.mktemp("exp") / "whole", "train.epochs=6")


def test_the_loss_falls_and_everything_is_written(trained):
    rows = [json.loads(line) for line in (trained / "train.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["positive_cosine"] > rows[-1]["negative_cosine"]
    assert 0 <= rows[-1]["data_wait"] <= 1 and rows[-1]["crops_per_second"] > 0
    summary = json.loads((trained / "train.json").read_text())
    assert summary["epochs"] == 6 and summary["method"] == "simclr" and summary["seed"] == 0
    assert checkpoint.epochs_at_hand(trained) == [0, 1, 2, 3, 4, 5, 6]
    assert (trained / "config.yaml").exists() and list((trained / "tensorboard").iterdir())


def test_same_seed_same_bits_and_workers_change_nothing(data, trained, tmp_path):
    again = run_to(data, tmp_path / "again", "train.epochs=6", "train.workers=1")
    assert same(weights(trained, 6), weights(again, 6))
    summary = (trained / "train.json").read_text()
    run_to(data, trained, "train.epochs=6")  # complete: nothing is done, nothing is rewritten
    assert (trained / "train.json").read_text() == summary
    other = run_to(data, tmp_path / "other", "train.epochs=1", "train.seed=1")
    assert not same(weights(trained, 1), weights(other, 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_killed_and_started_again_gives_the_same_bits(data, tmp_path, number):
    """The signal goes to the whole process group, as launchers and schedulers send it."""
    epochs = "train.epochs=12"
    whole, out = run_to(data, tmp_path / "whole", epochs), tmp_path / "killed"
    command = [sys.executable, "-m", "sv.bin.train", *arguments(data, out, epochs)]
    command += ["--set", "train.workers=1"]
    with subprocess.Popen(command, start_new_session=True) as process:
        while not checkpoint.epoch_path(out, 2).exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, number)
        status = process.wait(60)
    assert status == (-number if number == signal.SIGKILL else REQUEUE)
    assert not checkpoint.epoch_path(out, 12).exists()
    run_to(data, out, epochs)
    assert same(weights(whole, 12), weights(out, 12))
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))


def test_interrupted_in_the_middle_of_an_epoch(data, trained, tmp_path, stopped_after):
    out = tmp_path / "middle"
    with stopped_after(2, 1):
        run_to(data, out, "train.epochs=6")
    state = checkpoint.load(checkpoint.state_path(out))
    assert (state["epoch"], state["step"]) == (2, 1)
    run_to(data, out, "train.epochs=6")
    assert same(weights(trained, 6), weights(out, 6))
    row = json.loads((out / "train.jsonl").read_text().splitlines()[2])
    whole = json.loads((trained / "train.jsonl").read_text().splitlines()[2])
    assert row["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_labels_have_no_influence(data, tmp_path):
    """The firewall: with and without the files of labels, the same bits."""
    labels = data.parent / "labels"
    labels.mkdir(exist_ok=True)
    ids = [f"utt{n:03d}" for n in range(24)]
    (labels / "utt2spk").write_text("".join(f"{u} spk{n % 3}\n" for n, u in enumerate(ids)))
    (data / "utt2spk").write_text("".join(f"{u} spk{n % 3}\n" for n, u in enumerate(ids)))
    seen = run_to(data, tmp_path / "with", "train.epochs=1")
    (labels / "utt2spk").unlink()
    (data / "utt2spk").unlink()
    unseen = run_to(data, tmp_path / "without", "train.epochs=1")
    assert same(weights(seen, 1), weights(unseen, 1))


def test_other_settings_do_not_resume_silently(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.epochs=1")
    with pytest.raises(OtherTraining, match=r"optim.lr was 0.005 and is 0.01.*--restart"):
        run_to(data, out, "train.epochs=1", "optim.lr=0.01")
    train.main([*arguments(data, out, "train.epochs=1", "optim.lr=0.01"), "--restart", "true"])
    assert "lr: 0.01" in (out / "config.yaml").read_text()


def write_bank(folder, seed, bands=8):
    from sv.kaldi.arks import ArkWriter

    rng = np.random.default_rng(seed)
    (folder / "rooms").mkdir(parents=True)
    with ArkWriter(folder / "rooms/feats.ark", folder / "rooms/feats.scp", None) as writer:
        writer.write("room", np.exp(-np.arange(5))[:, None] * rng.random((5, bands)))
    return folder


def test_another_bank_or_other_features_do_not_resume_silently(data, tmp_path, write_features):
    rooms = ["train.epochs=1", "augment.room_probability=1"]
    out = tmp_path / "exp"

    def train_with(bank, features):
        train.main([*arguments(features, out, *rooms), "--banks", str(bank)])

    train_with(write_bank(tmp_path / "one", 1), data)
    with pytest.raises(InputError, match="the room bank has changed"):
        train_with(write_bank(tmp_path / "two", 2), data)
    other = write_features(tmp_path / "other", [50 + n for n in range(24)], seed=5)
    with pytest.raises(InputError, match="the training set has changed"):
        train_with(tmp_path / "one", other)
    with pytest.raises(InputError, match="room bank has 4 mel bands, the features have 8"):
        train_with(write_bank(tmp_path / "four", 1, bands=4), data)
    with pytest.raises(InputError, match="no such folder of banks"):
        train_with(tmp_path / "typo", data)


def test_resuming_is_exact_for_methods_that_draw(data, tmp_path, monkeypatch, stopped_after):
    """Dropout uses torch's generator, whose state must come back as it was."""
    from sv.methods.simclr import SimCLR

    original = SimCLR.training_step

    def dropping(self, views):
        views.crops["views"] = torch.nn.functional.dropout(views.crops["views"], 0.3)
        return original(self, views)

    monkeypatch.setattr(SimCLR, "training_step", dropping)
    whole = run_to(data, tmp_path / "whole")
    with stopped_after(1, 1):
        run_to(data, tmp_path / "resumed")
    run_to(data, tmp_path / "resumed")
    assert same(weights(whole, 3), weights(tmp_path / "resumed", 3))


def test_a_refused_restart_keeps_the_checkpoints(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.epochs=1")
    with pytest.raises(InputError, match="batch_size"):
        train.main([*arguments(data, out, "train.batch_size=99"), "--restart", "true"])
    assert checkpoint.epochs_at_hand(out) == [0, 1]


def test_a_log_line_cut_short_by_a_full_disk_does_not_stop_resuming(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.epochs=1")
    with (out / "train.jsonl").open("a") as log:
        log.write('{"epoch": 2, "lo')
    checkpoint.epoch_path(out, 1).unlink()
    (out / "train.json").unlink()
    run_to(data, out, "train.epochs=1")
    assert len((out / "train.jsonl").read_text().splitlines()) == 1


def test_time_is_counted_in_the_epoch_it_was_spent_in(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.batch_size=24")  # one step an epoch
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert all(row["seconds"] > 1e-3 and row["data_wait"] < 1 for row in rows)


def test_a_collapsed_margin_loss_is_at_its_own_chance_level():
    from sv.methods.base import Moment, Views
    from sv.methods.simclr import SimCLR, SimCLRConfig

    encoder = torch.nn.Identity()
    encoder.embedding_dim = 4
    alike = Views({"views": torch.ones(2, 6, 4)}, torch.arange(6), moment=Moment(1.0, 2))
    for margin_type in ("none", "am", "aam"):
        config = SimCLRConfig(margin_type=margin_type, temperature=0.1)
        loss, stats = SimCLR(encoder, config).training_step(alike)
        assert float(stats["chance"]) == pytest.approx(loss.item(), rel=1e-3)


def test_average_of_the_last_epochs(trained, tmp_path):
    out = tmp_path / "final.pt"
    average.main(["--exp", str(trained), "--last", "3", "--out", str(out)])
    model = checkpoint.load(out)
    name, value = next((n, v) for n, v in model["encoder"].items() if v.is_floating_point())
    expected = sum(weights(trained, e)[name].double() for e in (4, 5, 6)) / 3
    torch.testing.assert_close(value, expected.float())
    assert model["epochs"] == [4, 5, 6]
    assert json.loads((trained / "train.json").read_text())["checkpoint_rule"].startswith("mean")
    average.main(["--exp", str(trained), "--last", "9", "--out", str(out)])  # at most
    assert checkpoint.load(out)["epochs"] == [1, 2, 3, 4, 5, 6]
    checkpoint.epoch_path(trained, 4).rename(tmp_path / "kept elsewhere")
    with pytest.raises(InputError, match="of 6 epochs 5 are kept, but --last 9 needs more"):
        average.main(["--exp", str(trained), "--last", "9", "--out", str(out)])
    (tmp_path / "kept elsewhere").rename(checkpoint.epoch_path(trained, 4))
    with pytest.raises(InputError, match="no epoch has been trained"):
        average.main(["--exp", str(tmp_path), "--out", str(out)])


def test_only_the_last_models_are_kept(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.keep=1")
    assert checkpoint.epochs_at_hand(out) == [0, 3]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.batch_size=25", "batch_size is 25"),
        ("model.mel_bins=80", "8 mel bands"),
        ("augment.room_probability=1", "no room bank"),
        ("optim.lr=x", "optim.lr: expected float"),
        ("optim.rate=1", "unknown"),
    ],
)
def test_what_cannot_work_is_said_before_training(data, tmp_path, setting, message):
    with pytest.raises(InputError, match=message):
        run_to(data, tmp_path / "exp", setting)
    assert not (tmp_path / "exp" / "checkpoints").exists()


def test_noise_without_bank_or_babble_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="no noise bank"):
        run_to(data, tmp_path / "exp", "augment.babble_speakers=[0, 0]")


def test_nan_stops_training(data, tmp_path):
    with pytest.raises(TrainingFailed, match=r"optim\.lr"):
        run_to(data, tmp_path / "exp", "optim.lr=1e9")


def test_collapse_is_named(tmp_path, write_features):
    from sv.kaldi.arks import ArkWriter

    with ArkWriter(tmp_path / "feats.ark", tmp_path / "feats.scp") as writer:
        for number in range(16):
            writer.write(f"utt{number:02d}", np.zeros((40, 8), dtype=np.float32))
    (tmp_path / "utt2num_frames").write_text("".join(f"utt{n:02d} 40\n" for n in range(16)))
    with pytest.raises(TrainingFailed, match="collapsed"):
        run_to(tmp_path, tmp_path / "exp", "train.epochs=5", "augment.noise_probability=0")


def test_damaged_checkpoint_is_named(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.epochs=1")
    path = checkpoint.state_path(out)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"last\.pt: not a checkpoint of ours, or damaged"):
        run_to(data, out, "train.epochs=1")


@pytest.mark.parametrize("kind", ["torn", "a bit", "missing"])
def test_the_state_before_a_damaged_one_is_used(data, trained, tmp_path, kind, caplog, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    out = run_to(data, tmp_path / "exp", "train.epochs=6")
    (out / "train.json").unlink()
    checkpoint.epoch_path(out, 6).unlink()
    last = checkpoint.state_path(out)
    contents = bytearray(last.read_bytes())
    last.unlink()
    if kind == "torn":
        last.write_bytes(contents[: len(contents) // 2])
    elif kind == "a bit":
        contents[len(contents) // 2] ^= 1  # of a weight, which torch would take as it is
        last.write_bytes(contents)
    previous = checkpoint.previous_path(out).read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save_state", interrupt)
        run_to(data, out, "train.epochs=6")
    assert checkpoint.previous_path(out).read_bytes() == previous and not last.exists()
    run_to(data, out, "train.epochs=6")
    assert "goes on from the state before it" in caplog.text and "previous.pt" in caplog.text
    assert same(weights(trained, 6), weights(out, 6))
    assert len((out / "train.jsonl").read_text().splitlines()) == 6


def test_two_damaged_states_are_an_error(data, tmp_path):
    out = run_to(data, tmp_path / "exp", "train.epochs=2")
    for path in (checkpoint.state_path(out), checkpoint.previous_path(out)):
        contents = bytearray(path.read_bytes())
        contents[2000] ^= 1
        path.write_bytes(contents)
    with pytest.raises(InputError, match=r"previous\.pt: damaged, its checksum does not fit"):
        run_to(data, out, "train.epochs=2")


def test_two_trainings_in_one_folder(data, tmp_path):
    """The second is refused at once; what a killed one leaves stops nobody."""
    out = tmp_path / "exp"
    code = "import sys; from sv.lock import locked\nwith locked(sys.argv[1], 'x'): print('held',"
    code += " flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(out / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(
            InputError, match=f"another run is at work on it .process {holder.pid} "
        ):
            run_to(data, out, "train.epochs=1")
        assert not (out / "checkpoints").exists()
        holder.kill()
    run_to(data, out, "train.epochs=1")
