"""What all parts share: the device, the sizes of the work, the training set, time and results."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.budget import Budget
from sv.crops.index import TrainingIndex
from sv.kaldi.arks import ArkWriter

UTTERANCES_OF_A_SPEAKER = 10


@dataclass(frozen=True)
class Scale:
    """Sizes of the work: those of VoxCeleb2, or a miniature that shows that everything runs."""

    miniature: bool = False
    mel_bins: int = 80
    utterances: int = 40_000
    stored: int = 400
    frames: int = 800
    batch: int = 256
    points: int = 1_090_000
    clusters: int = 25_000
    dim: int = 512
    batches: int = 2
    copied: tuple[int, ...] = (65_000_000, 250_000_000)
    matrix: int = 8192
    rounds: int = 3
    round_seconds: float = 0.5
    gradients: int = 15_000_000

    @classmethod
    def tiny(cls) -> "Scale":
        """Return the miniature."""
        return cls(
            miniature=True, batches=1, mel_bins=8, utterances=120,
            stored=20, frames=60, batch=8, points=400,
            clusters=10, dim=8, copied=(10_000,), matrix=64, rounds=1, round_seconds=0.0,
            gradients=1000,
        )  # fmt: skip


@dataclass
class Bench:
    """One run of the benchmark; every part adds rows to ``results`` and gaps to ``not_run``."""

    device: torch.device
    scale: Scale
    folder: Path
    budget: Budget
    results: dict[str, list[dict]] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, **row) -> None:
        """Add a row to the table of a part, and print it."""
        self.results.setdefault(part, []).append(row)
        print(f"{part}: " + ", ".join(f"{k} {_short(v)}" for k, v in row.items()), flush=True)

    def index(self) -> TrainingIndex:
        """Return the training set, which is written when it is first needed."""
        if not (self.folder / "feats.scp").exists():
            write_features(self.folder, self.scale)
        return TrainingIndex.load(self.folder)

    def labels(self) -> np.ndarray:
        """Return the speaker of each utterance (N,)."""
        return np.arange(self.scale.utterances) // UTTERANCES_OF_A_SPEAKER

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def free(self) -> None:
        """Give back the memory of what is no longer used."""
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def seconds(self, work: Callable[[], object], times: int = 1) -> float:
        """Return the seconds of one call of ``work``, from ``times`` calls."""
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - start) / times

    def compare(self, contestants: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
        """Return the seconds of a call of each contestant, for each round, interleaved."""
        times, scale = {}, self.scale
        for name, work in contestants.items():
            once = self.seconds(work, 1 if scale.miniature else 2)  # kernels are chosen
            times[name] = max(1, min(200, int(scale.round_seconds / once)))
        found = {name: [] for name in contestants}
        for _ in range(scale.rounds):
            for name, work in contestants.items():
                found[name].append(self.seconds(work, times[name]))
        return found


def ratios(base: list[float], other: list[float]) -> tuple[float, float, float]:
    """Return median, least and greatest of base / other in the same round."""
    each = [b / o for b, o in zip(base, other, strict=True)]
    return statistics.median(each), min(each), max(each)


def write_features(folder: Path, scale: Scale) -> None:
    """Write a training set; many utterances share the numbers of a few, and are read as others."""
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "feats.ark", folder / "some.scp") as writer:
        for number in range(scale.stored):
            shape = (scale.frames, scale.mel_bins)
            writer.write(f"{number}", rng.normal(-8, 3, shape).astype(np.float32))
    places = [line.split()[1] for line in (folder / "some.scp").read_text().splitlines()]
    names = [f"utt{number:07d}" for number in range(scale.utterances)]
    lines = [f"{name} {places[n % scale.stored]}\n" for n, name in enumerate(names)]
    (folder / "utt2num_frames").write_text("".join(f"{name} {scale.frames}\n" for name in names))
    (folder / "feats.scp").write_text("".join(lines))


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return next(iter(str(error).splitlines()), "no message")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
