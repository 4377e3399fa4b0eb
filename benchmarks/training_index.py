"""Loading a training set: seconds and memory of a million utterances.

``python -m benchmarks.training_index --simulate 10000000`` generates an index of so many, loads it,
and draws an epoch of batches from it for each of several processes.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, Table
from sv.kaldi.arks import ArkWriter, read_scp

DIM = 80


def benchmark(quick: bool) -> list[Table]:
    """TrainingIndex of a million utterances, loaded in a process of its own."""
    utterances, rounds = (20_000, 2) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        make_data_directory(Path(folder), utterances, shuffled=False)
        ordered = [measure(Path(folder)) for _ in range(rounds)]
        make_data_directory(Path(folder), utterances, shuffled=True)
        shuffled = [measure(Path(folder)) for _ in range(rounds)]
    table = Table(f"TrainingIndex.load, {utterances:,} utterances", "sorted", utterances, "utt")
    for name, figures in (("sorted", ordered), ("frame counts shuffled", shuffled)):
        seconds = [figure["seconds"] for figure in figures]
        ratios = [a["seconds"] / s for a, s in zip(ordered, seconds, strict=True)]
        peak = max(figure["peak_mb"] for figure in figures)
        start = figures[0]["import_mb"]
        note = f"peak resident {peak:.0f} MB (after the imports: {start:.0f} MB)"
        table.rows.append(Row(name, seconds, ratios, note))
    return [table]


def make_data_directory(folder: Path, utterances: int, shuffled: bool) -> None:
    """Write ``feats.scp`` and ``utt2num_frames`` that name one small, real ark over and over."""
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "real.ark", folder / "real.scp", "CM2") as writer:
        for number in range(500):
            writer.write(f"{number:04}", rng.normal(size=(200 + number, DIM)))
    places = list(read_scp(folder / "real.scp").values())
    order = rng.permutation(utterances).tolist() if shuffled else range(utterances)
    with (folder / "feats.scp").open("w") as handle:
        for number in range(utterances):
            handle.write(f"{_name(number)} {places[number % 500]}\n")
    with (folder / "utt2num_frames").open("w") as handle:
        for number in order:
            handle.write(f"{_name(number)} {200 + number % 500}\n")


def _name(number: int) -> str:
    """Return an id as long as VoxCeleb's."""
    return f"id{number // 200:05}-{number // 20:011}-{number % 200:05}"


def measure(folder: Path) -> dict:
    """Load ``folder`` in a new process; return seconds and megabytes."""
    command = [sys.executable, "-m", "benchmarks.training_index", str(folder.resolve())]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _peak_mb() -> float:
    """Return the most memory this process has held; Linux's own count, since ``ru_maxrss``
    begins with what the parent held at the fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _load(folder: str) -> None:
    from sv.crops.index import TrainingIndex

    before, start = _peak_mb(), time.perf_counter()
    index = TrainingIndex.load(folder)
    seconds = time.perf_counter() - start
    figures = {
        "seconds": round(seconds, 3),
        "peak_mb": _peak_mb(),
        "import_mb": before,
        "utterances": len(index),
    }
    print(json.dumps(figures))


def simulate(utterances: int, shards: int) -> dict:
    """Generate, load and sample an index; return seconds, megabytes and what was checked.

    An epoch is drawn batch by batch and dealt out to ``shards`` processes in turn: together they
    must see each utterance of the epoch once.
    """
    from sv.crops.batches import RandomBatches
    from sv.crops.index import TrainingIndex

    figures: dict = {"utterances": utterances, "import_mb": round(_peak_mb())}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        make_data_directory(Path(folder), utterances, shuffled=False)
        figures["generate_seconds"] = round(time.perf_counter() - start, 1)
        start = time.perf_counter()
        index = TrainingIndex.load(folder)
        figures["load_seconds"] = round(time.perf_counter() - start, 1)
        figures["load_peak_mb"] = round(_peak_mb())
        arrays = (index.names, index.ark_id, index.offset, index.lengths)
        figures["index_mb"] = round(sum(array.nbytes for array in arrays) / 1e6)
        batches = RandomBatches(len(index), 256, seed=0)
        start = time.perf_counter()
        seen = np.zeros(len(index), dtype=np.uint8)
        batches(0, 0)
        figures["first_batch_seconds"] = round(time.perf_counter() - start, 2)
        for shard in range(shards):
            for step in range(shard, batches.steps, shards):
                seen[batches(0, step)] += 1
        figures["epoch_seconds"] = round(time.perf_counter() - start, 1)
        assert seen.max() == 1 and int(seen.sum()) == batches.steps * 256
        rows = batches(0, batches.steps - 1)
        start = time.perf_counter()
        index.read_windows(rows, np.zeros(len(rows), np.int64), 200)
        figures["read_256_windows_seconds"] = round(time.perf_counter() - start, 4)
        figures["peak_mb"] = round(_peak_mb())
    return figures


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("folder", nargs="?", help="data directory to load")
    p.add_argument("--simulate", type=int, metavar="N", help="utterances of a generated index")
    p.add_argument("--shards", type=int, default=8, help="processes that share an epoch")
    args = p.parse_args()
    if args.simulate:
        print(json.dumps(simulate(args.simulate, args.shards), indent=1))
    else:
        _load(args.folder)
