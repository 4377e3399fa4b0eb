"""Training steps of encoders on one CPU thread: bfloat16 and torch.compile against float32.

    python -m benchmarks.run compiled
    python -m benchmarks.compiled ecapa 8    # one encoder, batches of 8

A step is forward, backward and Adam on crops of 2 s. Each contestant is a process of its own (see
`benchmarks.encoders`), and their steps take turns. The clock is the processor time of a step. The
first step, which compiles, does not count; its processor time is a note. Compilation takes minutes
of a busy machine.
"""

import sys

from benchmarks.encoders import ALLOCATOR, ENCODERS, Worker
from benchmarks.harness import Table, compare

BASE = "float32"
VARIANTS = {
    BASE: "float32",
    "bfloat16": "bfloat16",
    "bfloat16, compiled": "bfloat16-compiled",
}


def benchmark(quick: bool) -> list[Table]:
    """2 s crops, forward + backward + Adam, one thread: float32, bfloat16, bfloat16 compiled."""
    batch, rounds = (2, 3) if quick else (8, 15)
    return [table(name, batch, rounds) for name in ENCODERS[: 1 if quick else None]]


def table(name: str, batch: int, rounds: int) -> Table:
    """Compare the variants for the encoder ``name``, as the settings of `path.sh` run it."""
    workers = {
        label: Worker(name, precision, "own", ALLOCATOR, batch)
        for label, precision in VARIANTS.items()
    }
    try:
        for worker in workers.values():
            worker.step()
        notes = {label: f"first step {worker.seconds:.0f} s" for label, worker in workers.items()}
        return compare(
            f"{name}, {batch} crops of 2 s, forward + backward + Adam, one thread",
            {label: worker.step for label, worker in workers.items()},
            base=BASE,
            items=batch,
            unit="crop",
            rounds=rounds,
            notes=notes,
            clock=lambda: sum(worker.seconds for worker in workers.values()),
        )
    finally:
        for worker in workers.values():
            worker.__exit__()


if __name__ == "__main__":
    print(table(sys.argv[1], int(sys.argv[2]), rounds=15))
