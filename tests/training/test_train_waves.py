"""Training on waveforms: the same promises as on features (tests/training/test_trainer.py)."""

import json

import numpy as np
import pytest
import torch

from sv import checkpoint
from sv.bin import make_banks, train
from sv.crops.batches import RandomBatches
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.errors import InputError
from sv.features.augment_wave import WaveRooms
from sv.training.experiment import Experiment
from sv.training.preflight import check

pytestmark = pytest.mark.whole

SETTINGS = [
    "data.domain=wave",
    "data.crop_seconds=0.2",
    "augment.noise_probability=0.5",
    "augment.room_probability=0.5",
    "augment.speeds=[0.9, 1.0, 1.1]",
    "augment.time_masks=1",
    "model.name=fast_resnet34",
    "model.mel_bins=16",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=16",
    "method.temperature=0.1",
    "train.batch_size=8",
    "train.epochs=3",
    "train.workers=0",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_waves):
    return write_waves(tmp_path_factory.mktemp("data"), [4000 + 300 * n for n in range(16)])


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    out = tmp_path_factory.mktemp("banks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_banks, "GENERATED_NOISES", 4)
        patch.setattr(make_banks, "GENERATED_ROOMS", 3)
        make_banks.main(["--wave", "true", "--num-mel-bins", "16", "--out", str(out)])
    return out


def run_to(data, banks, out, *more):
    sets = [part for text in [*SETTINGS, *more] for part in ("--set", text)]
    train.main(
        ["--data", str(data), "--banks", str(banks), "--out", str(out), "--device", "cpu", *sets]
    )
    return checkpoint.load(checkpoint.epoch_path(out, 3))["encoder"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_bits_with_workers_and_after_an_interruption(
    data, banks, tmp_path, capsys, stopped_after
):
    whole = run_to(data, banks, tmp_path / "whole")
    said = capsys.readouterr().out
    assert "augmentation of waveforms: noise at 0 to 15 dB, music" in said
    assert "3 rooms, speeds [0.9, 1.0, 1.1]" in said
    assert same(whole, run_to(data, banks, tmp_path / "worker", "train.workers=1"))
    with stopped_after(1, 1):
        run_to(data, banks, tmp_path / "resumed")
    assert same(whole, run_to(data, banks, tmp_path / "resumed"))
    rows = [json.loads(line) for line in (tmp_path / "whole/train.jsonl").open()]
    assert np.isfinite([row["loss"] for row in rows]).all()
    with pytest.raises(InputError, match="augment.speeds was .* and is"):
        run_to(data, banks, tmp_path / "whole", "augment.speeds=[1.0]")


def test_what_cannot_work_is_said_before_training(data, banks, tmp_path, write_features):
    features = write_features(tmp_path / "features", [30] * 16, dim=16)
    cases = [
        (features, banks, [], "wav_ark.scp does not exist: run stage 1 with --wave true"),
        (features, banks, ["data.domain=fbank"], "augment.speeds changes waveforms"),
        (data, banks, ["data.domain=fbank"], "feats.scp does not exist"),
        (data, banks, ["model.mel_bins=300"], "300 mel bins are too many"),
    ]
    for folder, bank, more, message in cases:
        with pytest.raises(InputError, match=message):
            run_to(folder, bank, tmp_path / "exp", *more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_banks, "GENERATED_NOISES", 3)
        patch.setattr(make_banks, "GENERATED_ROOMS", 1)
        make_banks.main(["--num-mel-bins", "16", "--out", str(tmp_path / "banks")])
    with pytest.raises(InputError, match="noise has no waveforms .* stage 2 with --wave true"):
        run_to(data, tmp_path / "banks", tmp_path / "exp")
    with pytest.raises(InputError, match="rooms has no waveforms .* stage 2 with --wave true"):
        run_to(data, tmp_path / "banks", tmp_path / "exp", "augment.noise_probability=0")
    assert not (tmp_path / "exp" / "checkpoints").exists()


def test_speeds_and_banks_must_fit_the_waveforms(data):
    index = WaveformIndex.load(data)
    settings = Experiment.load(None, [*SETTINGS, "ssps.enabled=true"])
    source = ViewSource(index, [], RandomBatches(16, 8, 0), settings.augment, seed=0, rooms=1)
    with pytest.raises(InputError, match=r"speeds changes the voice.*--set augment.speeds=\[1"):
        check(settings, index, source, None)
    settings.ssps.enabled = False
    with pytest.raises(InputError, match="room bank is sampled at 8000 Hz, the waveforms at 16000"):
        check(settings, index, source, WaveRooms(torch.ones(1, 5), 8000))
    check(settings, index, source, WaveRooms(torch.ones(1, 5)))
