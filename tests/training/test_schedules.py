"""Learning rates and momenta of the published rows, epoch by epoch, and the seam between phases."""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.views import ViewSource
from sv.encoders import build_encoder
from sv.methods import build_method
from sv.methods.base import Moment
from sv.methods.dino import DINO
from sv.training.experiment import Experiment
from sv.training.optim import learning_rate

RECIPES = Path(__file__).resolve().parents[2] / "egs" / "voxceleb"
ROWS = {  # schedule of the reference -> the row that has it
    "sslsv_dino_base": "v2/conf/dino.yaml",
    "sslsv_dino_ssps": "v2/conf/dino.yaml",
    "sslsv_simclr_ssps_base": "v2/conf/simclr.yaml",
    "sslsv_simclr_ssps": "v2/conf/simclr.yaml",
    "sslsv_moco_ssps_base": "v2/conf/moco.yaml",
    "sslsv_moco_ssps": "v2/conf/moco.yaml",
    "sslsv_2024_step5": "v1/conf/simclr_am_0.1.yaml",
    "sslsv_2022_2023_step10": "v1/conf/simclr_2023_am_0.4.yaml",
    "chns_warmup_cosine": "v3/conf/h_scl_ecapa.yaml",
}


def settings(row):
    return Experiment.load(RECIPES / row)


def teacher(config):
    """A DINO that is small, with the schedules of ``config``."""
    encoder = nn.Identity()
    encoder.embedding_dim = 4
    return DINO(encoder, dataclasses.replace(config, hidden=[4], bottleneck=4, outputs=8))


def values(experiment, epoch, step, steps):
    """Return the rate of a step, and the momentum of what follows it (None: no such thing)."""
    moment = Moment(epoch + step / steps, experiment.train.epochs)
    rate = learning_rate(experiment.optim, moment.epoch, moment.epochs)
    if experiment.method.name == "moco":
        return rate, experiment.method.momentum
    if experiment.method.name != "dino":
        return rate, None
    (momentum,) = teacher(experiment.method).schedules(moment).values()
    return rate, momentum


@pytest.mark.parametrize("name", ROWS)
def test_rates_and_momenta_are_those_of_the_authors_code(name, reference_folder):
    with (reference_folder / "schedules_dev.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["schedule"] == name]
    assert rows
    experiment = settings(ROWS[name])
    for row in rows:
        epoch, steps = int(row["epoch"]), int(row["steps_per_epoch"])
        for which, step in (("first", 0), ("last", steps - 1)):
            rate, momentum = values(experiment, epoch, step, steps)
            assert rate == pytest.approx(float(row[f"lr_{which}_step"]), rel=1e-9, abs=1e-12)
            known = row[f"momentum_{which}_step"]
            if known:
                assert 1 - momentum == pytest.approx(1 - float(known), rel=1e-6, abs=1e-15)


def test_the_phases_of_dino_have_no_seam():
    """By the published formulas: .2 x .95 every 5 of 100 epochs; the base stops after 80."""
    experiment = settings("v2/conf/dino.yaml")
    assert (experiment.train.epochs, experiment.train.until) == (100, 80)
    assert experiment.optim.warmup_epochs == 0 and experiment.optim.clip_by == "parameter"
    steps = 100
    for step in range(100 * steps):
        if step % 37 and step not in (80 * steps - 1, 80 * steps):
            continue
        rate, momentum = values(experiment, step // steps, step % steps, steps)
        assert rate == pytest.approx(0.2 * 0.95 ** (step // steps // 5))
        cosine = math.cos(math.pi * step / (100 * steps))
        assert momentum == pytest.approx(1 - 0.004 * 0.5 * (1 + cosine), abs=1e-12)
    assert values(experiment, 80, 0, steps)[1] == pytest.approx(0.99962, abs=1e-5)


@pytest.mark.parametrize("name", ["simclr", "moco", "vicreg", "swav"])
def test_the_other_bases_stop_after_100_of_120_epochs(name):
    experiment = settings(f"v2/conf/{name}.yaml")
    assert (experiment.train.epochs, experiment.train.until) == (120, 100)


def test_crops_of_dino_get_nothing_a_room_a_noise_or_both_a_quarter_each(index):
    config = settings("v2/conf/dino.yaml").augment
    groups = [CropGroup("global", 2, 0.1), CropGroup("local", 4, 0.1)]
    source = ViewSource(index, groups, RandomBatches(8, 8, 0), config, seed=0, rooms=3)
    found = np.zeros(4)
    for epoch in range(100):
        for crops in source[epoch, 0].crops.values():
            noisy, wet = crops.draws.snr.isfinite(), crops.draws.room >= 0
            found += np.bincount((noisy.int() + 2 * wet.int()).flatten(), minlength=4)
    assert found / found.sum() == pytest.approx(0.25, abs=0.03)


@pytest.fixture(scope="module")
def index(tmp_path_factory, write_features):
    from sv.crops.index import TrainingIndex

    return TrainingIndex.load(write_features(tmp_path_factory.mktemp("data"), [30] * 8))


def test_a_stop_lies_inside_the_plan():
    from sv.errors import InputError

    plan = ["train.epochs=5", "train.stop=6"]
    with pytest.raises(InputError, match="train.stop is 6, beyond train.epochs, 5"):
        Experiment.load(None, plan)
    assert Experiment.load(None, ["train.epochs=5"]).train.until == 5
    same = [Experiment.load(None, ["train.epochs=5", f"train.stop={n}"]).digest for n in (0, 3)]
    assert same[0] == same[1]  # where it stops changes no step


def test_the_head_of_dino_measures_long_and_short_crops_apart():
    """Short crops of another scale do not change what the head makes of the long ones."""
    from sv.crops.groups import DataConfig
    from sv.methods.base import Views

    torch.manual_seed(0)
    encoder = nn.Flatten()
    encoder.embedding_dim = 6
    config = settings("v2/conf/dino.yaml").method
    changes = {"hidden": [5], "bottleneck": 4, "outputs": 8}
    method = DINO(encoder, dataclasses.replace(config, **changes)).train()
    assert [g.count for g in method.crop_groups(DataConfig())] == [2, 4]
    seen = []
    method.head.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    long, short = torch.randn(2, 7, 6), torch.randn(4, 7, 6)
    for scale in (1.0, 30.0):
        method.training_step(Views({"global": long, "local": scale * short}, torch.arange(7)))
    first, _, again, _ = seen
    torch.testing.assert_close(first, again)


@pytest.mark.parametrize("name", ["symmetric", "am_0.4", "aam_0.05"])
def test_the_rows_of_2023(name):
    experiment = settings(f"v1/conf/simclr_2023_{name}.yaml")
    encoder = build_encoder(experiment.model)
    assert sum(weight.numel() for weight in encoder.parameters()) == 1_846_822
    projector = build_method(encoder, experiment.method).projector
    kinds = [type(layer).__name__ for layer in projector]
    assert kinds == ["Linear", "ReLU", "Linear"]
    assert [projector[0].out_features, projector[2].out_features] == [2048, 256]
    assert (experiment.train.epochs, experiment.train.batch_size) == (200, 256)
    rates = [learning_rate(experiment.optim, epoch, 200) for epoch in (0, 9.99, 10, 199)]
    assert rates == pytest.approx([1e-3, 1e-3, 0.95e-3, 1e-3 * 0.95**19])
    assert experiment.data.crops == "apart"
