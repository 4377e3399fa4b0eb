"""Check and measure this toolkit on a GPU machine, in one command of at most eight minutes.

    python -m benchmarks.gpu --out gpu            # writes gpu.md and gpu.json
    python -m benchmarks.gpu --parts steps copies # only these parts, in the whole time
    python -m benchmarks.gpu --miniature          # shows on a CPU that everything runs

The time is divided among the parts. What does not fit is listed as not run. Speeds against a plain
step are ratios of interleaved runs. `share of floor` is the least time that the matrix products of
a step could take on this device, divided by the time that the step takes.
"""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

import torch

from benchmarks.gpu import tables
from benchmarks.gpu.bench import Bench, Scale, first_line
from benchmarks.gpu.budget import Budget, TimeUp
from benchmarks.gpu.clusters import measure_clusters
from benchmarks.gpu.copies import measure_copies
from benchmarks.gpu.embedding import measure_embedding
from benchmarks.gpu.equality import measure_equality
from benchmarks.gpu.floor import matrix_rates
from benchmarks.gpu.processes import measure_processes
from benchmarks.gpu.reading import measure_reading
from benchmarks.gpu.steps import measure_steps
from sv.device import choose_device
from sv.errors import InputError

PARTS = {
    "matrices": (matrix_rates, 15),
    "copies": (measure_copies, 15),
    "equality": (measure_equality, 60),
    "k-means": (measure_clusters, 40),
    "embedding": (measure_embedding, 40),
    "processes": (measure_processes, 40),
    "reading": (measure_reading, 30),
    "steps": (measure_steps, 230),
}
"""Name → function of a part, and the seconds that it is worth; the rest of eight minutes is spare.

The rates of matrix products come first, because others need them. The steps come last, because
they can use all the time that the others leave.
"""

SECONDS = 460.0


def main(argv: list[str] | None = None) -> int:
    """Run the parts; return 1 if one of them failed."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", type=Path, default=Path("gpu"), help="results, without the ending")
    p.add_argument("--seconds", type=float, default=SECONDS, help="time for everything")
    p.add_argument("--parts", nargs="+", choices=list(PARTS), help="only these parts")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--miniature", action="store_true", help="tiny networks and little data")
    options = p.parse_args(argv)
    device = choose_device(options.device)
    if device.type == "cpu" and not options.miniature:
        raise InputError("there is no GPU here: --miniature shows on a CPU that everything runs")
    scale = Scale.tiny() if options.miniature else Scale()
    chosen = [name for name in PARTS if name in (options.parts or PARTS) or name == "matrices"]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(device, scale, Path(folder), Budget(options.seconds))
        failed = [name for n, name in enumerate(chosen) if not _run(bench, chosen[n:])]
    tables.write(bench, options.out)
    print(f"{options.out.with_suffix('.md')} and {options.out.with_suffix('.json')} are written")
    return 1 if failed else 0


def _run(bench: Bench, names: list[str]) -> bool:
    """Run the first of these parts; return False if it failed."""
    work, weight = PARTS[names[0]]
    try:
        with bench.budget.part(weight, sum(PARTS[n][1] for n in names)):
            work(bench)
    except TimeUp:
        bench.not_run.append(f"{names[0]}: its time was up before it was done")
    except Exception as error:
        traceback.print_exc()
        bench.not_run.append(f"{names[0]}: failed: {first_line(error)}")
        return False
    finally:
        bench.free()
    return True


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
