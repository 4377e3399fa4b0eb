"""Trainings of seconds by the program, and what they leave: for tests of training."""

import json

import torch

from sv import checkpoint
from sv.bin import train

TINY = [
    "model.name=fast_resnet34",
    "model.mel_bins=8",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=16",
    "data.crop_seconds=0.3",
    "augment.room_probability=0",
    "augment.noise_probability=0",
    "train.batch_size=8",
    "train.workers=0",
]
"""A small network that trains without augmentation; later settings override these."""
SSPS_BASE = [*TINY, "method.temperature=0.1", "optim.lr=0.005"]
SSPS = [
    *SSPS_BASE,
    "ssps.enabled=true",
    "ssps.clusters=6",
    "ssps.nearest=1",
    "ssps.queue=20",
    "ssps.reference_seconds=0.4",
    "train.epochs=5",
]


def words(data, out, settings, **options):
    """Return the command line of a training; ``options``: FILE or None by the option's name."""
    given = {name: value for name, value in options.items() if value is not None}
    return [
        *("--data", str(data), "--out", str(out), "--device", "cpu"),
        *(word for text in settings for word in ("--set", text)),
        *(
            word
            for name, value in given.items()
            for word in (f"--{name.replace('_', '-')}", str(value))
        ),
    ]


def run(data, out, settings, **options):
    """Train, as ``words`` says; return the experiment folder."""
    train.main(words(data, out, settings, **options))
    return out


def log(out):
    """Return the rows of the training log, a dict for each epoch."""
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def state(out):
    """Return the state of the method after the last step, and the epoch."""
    found = checkpoint.load(checkpoint.state_path(out))
    return {"epoch": found["epoch"], **found["method"]}


def same(a, b):
    """Return whether two states are equal to the bit."""
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) if torch.is_tensor(a[name]) else a[name] == b[name]
        for name in a
    )
