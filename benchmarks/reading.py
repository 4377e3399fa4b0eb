"""Crops a second of one reader: batches of SimCLR, SSPS, DINO, CHNS and of waveforms.

A reader does what ``ViewSource`` does: it draws the plan of a batch and reads it. Room, noise and
normalisation are applied on the device of the network, so they are no part of it. The last row
adds them, on the processor.

    python -m benchmarks.run reading
    python -m benchmarks.reading --profile "CHNS, babble of 3 to 7"
    python -m benchmarks.reading --against ../before --rounds 7

``--against`` measures another checkout in the same run: the two take turns, batch by batch, and
the table has the ratios. Processor time is measured, with one thread and a warm page cache.
"""

import argparse
import cProfile
import inspect
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Table, compare
from sv.crops.batches import Batches, RandomBatches
from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.crops.wave_index import load_index
from sv.features.augment import AugmentConfig, RoomBank
from sv.kaldi.arks import ArkWriter

ARKS, UTTERANCES, NOISES, MEL, ROOMS = 8, 1200, 90, 80, 50
KINDS = {"noise": np.arange(30), "music": np.arange(30, 60), "speech": np.arange(60, 90)}

VIEWS = [CropGroup("views", 2, 2.0)]
SSPS = [*VIEWS, CropGroup("reference", 1, 4.0, augment=False)]
DINO = [CropGroup("global", 2, 4.0), CropGroup("local", 4, 2.0)]
CHNS = [CropGroup("views", 2, 3.0)]
ONE_FILE = {"babble_speakers": [1, 1]}
CASES = {
    "windows alone": ("fbank", VIEWS, 256, {"noise_probability": 0.0}),
    "SimCLR": ("fbank", VIEWS, 256, ONE_FILE),
    "SSPS": ("fbank", SSPS, 256, ONE_FILE),
    "DINO": ("fbank", DINO, 128, ONE_FILE),
    "CHNS, babble of one file": ("fbank", CHNS, 650, ONE_FILE),
    "CHNS, babble of 3 to 7": ("fbank", CHNS, 650, {}),
    "CHNS, babble of 3 to 7, mixed in stage 2": ("fbank", CHNS, 650, {}),
    "SimCLR, waveforms": ("wave", VIEWS, 256, ONE_FILE),
    "SimCLR, with the front end": ("fbank", VIEWS, 256, ONE_FILE),
}
"""Name → (domain, groups, items of a batch, augmentation)."""
CODES = "codes" in inspect.signature(ViewSource).parameters
"""Whether this checkout can leave the 16-bit values to the device, as training on a GPU does."""


class Pairs(RandomBatches):
    """Two utterances of each item, as with CHNS."""

    def __call__(self, epoch: int, step: int) -> np.ndarray:
        """Return (2, batch) utterances."""
        one = super().__call__(epoch, step)
        return np.stack([one, (one + 1) % self.utterances])


def write(folder: Path, domain: str, count: int, low: int, high: int) -> TrainingIndex:
    """Write arks of ``count`` random matrices or waveforms of low to high 10 ms; return them."""
    rng = np.random.default_rng(count)
    wave = domain == "wave"
    scp, counts = ("wav_ark.scp", "utt2num_samples") if wave else ("feats.scp", "utt2num_frames")
    folder.mkdir(parents=True)
    lines, lengths = [], []
    for ark in range(ARKS):
        part = folder / f"{domain}.{ark}"
        with ArkWriter(f"{part}.ark", f"{part}.scp", None if wave else "CM2") as writer:
            for number in range(ark, count, ARKS):
                name, frames = f"utt{number:05d}", int(rng.integers(low, high))
                if wave:
                    samples = rng.integers(-9000, 9000, 160 * frames).astype(np.int16)
                    writer.write_waveform(name, samples, 16000)
                else:
                    writer.write(name, rng.standard_normal((frames, MEL), np.float32))
                lengths.append(f"{name} {160 * frames if wave else frames}\n")
        lines += Path(f"{part}.scp").read_text().splitlines(keepends=True)
    (folder / scp).write_text("".join(sorted(lines)))
    (folder / counts).write_text("".join(sorted(lengths)))
    return load_index(folder, domain)


def sources(
    folder: Path, names: list[str], small: bool, codes: bool = False
) -> dict[str, ViewSource]:
    """Write what the cases ``names`` need; return their sources; ``codes``: for a GPU."""
    size = 10 if small else 1
    data, noises, found = {}, {}, {}
    for name in names:
        domain, groups, items, augment = CASES[name]
        if domain not in data:
            data[domain] = write(folder / domain, domain, UTTERANCES // size, 450, 1200)
            noises[domain] = write(folder / f"{domain}.noise", domain, NOISES, 500, 3000 // size)
        index, kind = data[domain], Pairs if name.startswith("CHNS") else RandomBatches
        batches: Batches = kind(len(index), items // size, 0)
        bank = NoiseBank(noises[domain], KINDS)
        if name.endswith("stage 2") and hasattr(bank, "talkers"):
            mixed = {"mixed_babble": KINDS["speech"]}
            bank = NoiseBank(noises[domain], KINDS | mixed, AugmentConfig().babble_speakers)
        found[name] = ViewSource(
            index, groups, batches, AugmentConfig(**augment), seed=0, noises=bank, rooms=ROOMS,
            mel_bins=MEL, **({"codes": codes} if CODES else {}),
        )  # fmt: skip
    return found


def calls(found: dict[str, ViewSource]) -> dict[str, Callable[[int], object]]:
    """Return for each case a function that reads the batch of a number."""
    decays = torch.rand(ROOMS, 50, MEL) * torch.exp(-torch.arange(50) / 8)[None, :, None]
    front_end = FrontEnd("mean", MEL, rooms=RoomBank(decays))

    def reader(name: str) -> Callable[[int], object]:
        def call(number: int) -> object:
            batch = found[name][number, 0]
            if name.endswith("front end"):
                return front_end(batch.crops["views"], torch.device("cpu"))
            return batch

        return call

    return {name: reader(name) for name in found}


def crops_of(name: str, small: bool) -> int:
    """Return the crops of a batch."""
    _, groups, items, _ = CASES[name]
    return sum(group.count for group in groups) * (items // (10 if small else 1))


def serve(small: bool, names: list[str], codes: bool) -> None:
    """Read the batch that each line of the input names; answer with seconds of the processor."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        made = calls(sources(Path(folder), names, small, codes))
        print("ready", flush=True)
        for line in sys.stdin:
            number, _, name = line.strip().partition(" ")
            start = time.process_time()
            made[name](int(number))
            print(time.process_time() - start, flush=True)


class Checkout:
    """A process that reads with the code of a checkout."""

    def __init__(self, root: Path, args: argparse.Namespace):
        flags = [f"--{name}" for name in ("quick", "codes") if getattr(args, name)]
        options = ["--serve", *flags, "--case", *args.case]
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *options],
            env={**os.environ, "PYTHONPATH": f"{root.resolve()}:{Path(__file__).parents[1]}"},
            cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.process.stdout.readline()

    def seconds(self, name: str, number: int) -> float:
        """Return the processor time of one batch."""
        self.process.stdin.write(f"{number} {name}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def against(args: argparse.Namespace) -> Iterator[Table]:
    """Yield a table for each case: the other checkout and this one, in turns."""
    pair = {"before": Checkout(args.against, args)}
    pair["after"] = Checkout(Path(__file__).parents[1], args)
    try:
        for name in args.case:
            yield _in_turns(pair, name, args.rounds, args.quick)
    finally:
        for checkout in pair.values():
            checkout.process.kill()
            checkout.process.wait()


def _in_turns(pair: dict[str, Checkout], name: str, rounds: int, small: bool) -> Table:
    clock, number = [0.0], [0]

    def run(checkout: Checkout) -> Callable[[], None]:
        def call() -> None:
            number[0] += 1  # a clock that moves by the time of the other process
            clock[0] += checkout.seconds(name, number[0] // 2)

        return call

    runs = {key: run(checkout) for key, checkout in pair.items()}
    words = {"base": "before", "items": crops_of(name, small), "unit": "crops", "rounds": rounds}
    return compare(name, runs, **words, warmup=2, clock=lambda: clock[0])


def benchmark(quick: bool) -> list[Table]:
    """Reading: crops a second of one core, windows alone against the batches of methods."""
    torch.set_num_threads(1)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        made = calls(sources(Path(folder), list(CASES), quick))
        for name, call in made.items():
            count = iter(range(10**6))
            run = {"this": lambda call=call, count=count: call(next(count))}
            words = {"items": crops_of(name, quick), "unit": "crops", "rounds": 2 if quick else 7}
            tables.append(compare(name, run, base="this", **words, clock=time.process_time))
    return tables


def main() -> None:
    """Profile a case, or measure this checkout against another."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout")
    p.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    p.add_argument("--profile", choices=CASES, help="show where the time of a case goes")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--quick", action="store_true", help="small batches")
    p.add_argument("--codes", action="store_true", help="as on a GPU, which decodes 16-bit values")
    p.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.serve:
        return serve(args.quick, args.case, args.codes)
    if args.profile:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            call = calls(sources(Path(folder), [args.profile], args.quick))[args.profile]
            call(0)
            with cProfile.Profile() as profile:
                for number in range(1, 6):
                    call(number)
        pstats.Stats(profile).sort_stats("tottime").print_stats(14)
        return None
    if args.against is None:
        p.error("give --against or --profile; python -m benchmarks.run reading does the rest")
    for table in against(args):
        print(table, flush=True)
    return None


if __name__ == "__main__":
    main()
