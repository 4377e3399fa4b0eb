"""A step of training reads nothing from the device, so that a GPU never waits for the program."""

import pytest
import torch
from device_waits import DeviceWaits
from tiny_methods import TINY, settings_of, supervised

from sv.bin import train
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
UNEVEN = {"csc", "csc_supervised"}
"""Their mixtures have different numbers of speakers, and so have their shapes."""


@pytest.mark.parametrize("case", sorted(CASES.keys() - UNEVEN))
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
    assert len(waits.found) >= 7 and all("at outside" in what for what in waits.found)
    with DeviceWaits() as waits:
        x[torch.tensor([1, 2])] = torch.where(x[:2] > 1, x[:2], 0)
    assert not waits.found
