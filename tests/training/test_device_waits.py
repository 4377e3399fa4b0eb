"""A step of training reads nothing from the device, so that a GPU never waits for the program."""

import numpy as np
import pytest
import torch
from device_waits import DeviceWaits
from tiny_methods import TINY, settings_of, supervised

from sv.bin import train
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.losses import supervised as supervised_losses
from sv.training.trainer import CHECK_EVERY, Trainer

pytestmark = pytest.mark.whole
SSPS = ["ssps.enabled=true", "ssps.clusters=6", "ssps.queue=12", "ssps.reference_seconds=0.2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    folder = write_features(tmp_path_factory.mktemp("data"), [40] * 48)
    speakers = [f"utt{number:03d} speaker{number // 2}\n" for number in range(48)]
    (folder / "labels").write_text("".join(speakers))
    (folder / "utt2spk").write_text("".join(speakers))
    return folder


@pytest.fixture
def waits(monkeypatch):
    """What the steps inside an epoch waited for, where they look at no loss."""
    found = {}
    step = Trainer.train_step
    # A label may be looked at on a CPU; here steps do what they do on a GPU.
    monkeypatch.setattr(supervised_losses, "reading_is_free", lambda labels: False)

    def counted(trainer, batch):
        inside = trainer.state.step % CHECK_EVERY and trainer.state.step + 1 < trainer.steps
        if not inside:
            return step(trainer, batch)
        update = trainer.optimizer.step
        with DeviceWaits() as waits:
            # Optimizers count their steps on the CPU, also for weights on a GPU.
            trainer.optimizer.step = waits.uncounted(update)
            step(trainer, batch)
        trainer.optimizer.step = update
        found[trainer.state.epoch, trainer.state.step] = waits.found

    monkeypatch.setattr(Trainer, "train_step", counted)
    return found


def run(data, out, method, *more):
    settings = settings_of(method, "train.epochs=2", "train.batch_size=6", *more)
    flags = [part for text in settings for part in ("--set", text)]
    if "ssps.enabled=true" in more:
        flags += ["--oracle-labels", str(data)]
    if supervised(method):
        flags += ["--labels", str(data / "labels")]
    train.main(["--data", str(data), "--out", str(out), "--device", "cpu", *flags])


CASES = {name: (name, []) for name in TINY} | {
    f"simclr-{kind}": ("simclr", [f"method.margin_type={kind}", *more])
    for kind, *more in [
        ("none",),
        ("aam", "method.margin_warmup=0.5"),
        ("am", "method.margin_learnable=true"),
        ("sphereface",),
        ("curricularface",),
        ("magface",),
        ("adaface",),
    ]
}
CASES |= {
    f"simclr-ssps-{kind}": ("simclr", [*SSPS, *more])
    for kind, *more in [
        ("clusters",),
        ("own", "ssps.nearest=0"),
        ("centroid", "ssps.positive=centroid", "method.projector=[]"),
        ("knn", "ssps.neighbours=knn", "ssps.nearest=2", "ssps.mutual=true"),
    ]
}
CASES |= {f"{name}-ssps": (name, SSPS) for name in ("moco", "dino", "vicreg", "swav", "byol")}
CASES |= {f"{name}-parts": (name, ["train.accumulate=3"]) for name in ("simclr", "aam", "dino")}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_step_waits_for_nothing(data, tmp_path, waits, case):
    method, more = CASES[case]
    run(data, tmp_path, method, *more)
    assert len(waits) >= 4
    assert sorted(set().union(*waits.values())) == []


def test_what_waits_is_found():
    x = torch.arange(4.0)
    with DeviceWaits() as waits:
        x.sum().item()
        x[x > 1]
        x[x > 1] = 0
        x.nonzero()
        x.unique()
        bool(x[0] > 0)
        x.tolist()
        torch.from_numpy(np.zeros(2)).to(x.device)
        torch.randperm(4, generator=torch.Generator().manual_seed(0)).to(x.device)
    assert len(waits.found) >= 10 and all("at outside" in what for what in waits.found)
    with DeviceWaits() as waits:
        torch.randperm(4, generator=torch.Generator(x.device), device=x.device)
        x[torch.tensor([1, 2])] = torch.where(x[:2] > 1, x[:2], 0)
    assert not waits.found


def test_rooms_wait_for_nothing():
    room = torch.tensor([2, -1, 0])
    banks = [RoomBank(torch.rand(count, 5, 8) + 0.1) for count in (3, 40)]
    waves = WaveRooms(torch.randn(40, 30))
    with DeviceWaits() as waits:
        for bank in banks:
            bank.convolve(torch.ones(3, 20, 8), room)
        waves.convolve(torch.ones(3, 100), room)
    assert sorted(waits.found) == ["ones, at outside"]
