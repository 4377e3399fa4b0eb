"""Training steps: crops a second before and after each setting, and the share waited for data."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.harness import Row, Table, compare
from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.features.augment import AugmentConfig, RoomBank, augment
from sv.features.normalise import normalise
from sv.kaldi.arks import ArkWriter

ALLOCATOR = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
KEEP_MEMORY = dict(zip(ALLOCATOR, ("4294967296", "8589934592", "268435456"), strict=True))
CONTESTANTS = {  # name: (environment, settings)
    "float32, glibc's defaults": ({}, ["train.precision=float32"]),
    "float32, allocator kept": (KEEP_MEMORY, ["train.precision=float32"]),
    "auto precision, allocator kept": (KEEP_MEMORY, ["train.precision=auto"]),
}
ENCODERS = {
    "ECAPA-128": ["model.name=ecapa", "model.channels=128", "model.pooled_channels=384"],
    "ECAPA-512": ["model.name=ecapa", "model.channels=512"],
    "Fast ResNet-34": ["model.name=fast_resnet34"],
}
BATCH = 32


def write_features(folder: Path, utterances: int) -> Path:
    rng = np.random.default_rng(0)
    with (
        ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer,
        (folder / "utt2num_frames").open("w") as frames,
    ):
        for number in range(utterances):
            writer.write(f"utt{number:04d}", rng.normal(-5, 3, (500, 80)).astype(np.float32))
            frames.write(f"utt{number:04d} 500\n")
    return folder


def train(data: Path, environment: dict[str, str], settings: list[str]) -> dict[str, float]:
    """Train two epochs in a process of its own; return the log line of the second."""
    clean = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    clean["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    common = ["augment.room_probability=0", f"train.batch_size={BATCH}", "train.epochs=2"]
    sets = [part for text in [*common, *settings] for part in ("--set", text)]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "sv.bin.train", "--data", str(data), "--out", out, *sets]
        subprocess.run(command, env={**clean, **environment}, check=True, capture_output=True)
        return json.loads((Path(out) / "train.jsonl").read_text().splitlines()[-1])


def steps(data: Path, utterances: int, encoder: str, rounds: int) -> Table:
    logs: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, (environment, settings) in CONTESTANTS.items():
            logs[name].append(train(data, environment, [*settings, *ENCODERS[encoder]]))
    crops = utterances // BATCH * BATCH * 2
    base = next(iter(CONTESTANTS))
    table = Table(
        f"training {encoder}, batch {BATCH} × 2 crops of 2 s", base, crops, "crops", notes=[]
    )
    for name, rows in logs.items():
        seconds = [row["seconds"] for row in rows]
        ratios = [b["seconds"] / row["seconds"] for b, row in zip(logs[base], rows, strict=True)]
        wait = median(row["data_wait"] for row in rows)
        table.rows.append(Row(name, seconds, ratios, f"waits for data {wait:.1%}"))
    return table


def feeding(data: Path, rounds: int) -> Table:
    """What a training step eats: crops read, drawn noises and rooms, augmented, one thread."""
    torch.set_num_threads(1)
    index = TrainingIndex.load(data)
    noises = NoiseBank(index, {"noise": np.arange(20), "music": np.arange(20, 40)})
    rooms = RoomBank(torch.rand(30, 50, 80))

    def source(settings: AugmentConfig) -> ViewSource:
        groups, batches = [CropGroup("views", 2, 2.0)], RandomBatches(len(index), BATCH, 0)
        return ViewSource(index, groups, batches, settings, seed=0, noises=noises, rooms=30)

    full = source(AugmentConfig(babble_speakers=[0, 0]))
    plain = source(AugmentConfig(noise_probability=0, room_probability=0))

    def augmented() -> None:
        crops = full[0, 0].crops["views"]
        normalise(augment(crops.signal, crops.draws, rooms), "mean")

    return compare(
        "crops of 2 s from CM2 arks, one thread",
        {
            "windows only": lambda: plain[0, 0],
            "windows of speech and noise": lambda: full[0, 0],
            "with room response and noise, normalised": augmented,
        },
        base="windows only",
        items=2 * BATCH,
        unit="crops",
        rounds=rounds,
    )


def benchmark(quick: bool) -> list[Table]:
    """Training steps a second and the share waited for data; crops made ready a second."""
    with tempfile.TemporaryDirectory() as folder:
        utterances = 64 if quick else 128
        data = write_features(Path(folder), utterances)
        encoders = ["ECAPA-128"] if quick else list(ENCODERS)
        tables = [feeding(data, 3 if quick else 9)]
        return tables + [steps(data, utterances, name, 1 if quick else 3) for name in encoders]
