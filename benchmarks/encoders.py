"""Training steps of the encoders on one CPU thread: layout, precision, allocator, a peer.

Each contestant is a process of its own, because the settings of glibc's allocator are read at
start. ``python -m benchmarks.encoders ecapa bfloat16 channels-last 32`` is one of them: it does a
step (forward and backward, no optimizer) whenever it reads a line.

The clock is the processor time of these processes, user and system: with one thread each that is
what a step takes on a core of its own, and waiting for a busy core does not count.
"""

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.harness import Table, compare

FRAMES, MEL_BINS = 200, 80
ENCODERS = ("ecapa", "fast_resnet34")
# Keep freed memory in the process instead of returning it to the kernel at every step.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}


def benchmark(quick: bool) -> list[Table]:
    """2 s crops, forward + backward, one thread: memory layout, bfloat16, malloc settings."""
    batch, rounds = (4, 3) if quick else (32, 7)
    return [_compare(name, batch, rounds) for name in ENCODERS]


def _compare(name: str, batch: int, rounds: int) -> Table:
    variants = {
        "fp32 contiguous": (name, "float32", "contiguous", {}),
        "fp32 contiguous malloc": (name, "float32", "contiguous", ALLOCATOR),
        "fp32 channels-last malloc": (name, "float32", "channels-last", ALLOCATOR),
        "bf16 contiguous": (name, "bfloat16", "contiguous", {}),
        "bf16 contiguous malloc": (name, "bfloat16", "contiguous", ALLOCATOR),
        "bf16 channels-last malloc": (name, "bfloat16", "channels-last", ALLOCATOR),
    }
    if name == "ecapa" and importlib.util.find_spec("speechbrain"):
        variants["speechbrain fp32"] = ("speechbrain", "float32", "contiguous", {})
        variants["speechbrain fp32 malloc"] = ("speechbrain", "float32", "contiguous", ALLOCATOR)
    with ExitStack() as stack:
        workers = {
            label: stack.enter_context(Worker(*variant, batch))
            for label, variant in variants.items()
        }
        return compare(
            f"{name}, {batch} crops of {FRAMES} frames, forward + backward, one thread",
            {label: worker.step for label, worker in workers.items()},
            base="fp32 contiguous",
            items=batch,
            unit="crop",
            rounds=rounds,
            clock=lambda: sum(worker.seconds for worker in workers.values()),
        )


class Worker:
    """A process that does one training step at each call of ``step``.

    ``seconds`` is the processor time that it has used for all its steps.
    """

    def __init__(self, name: str, precision: str, layout: str, extra: dict, batch: int):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.encoders", name, precision, layout, str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**plain, "OMP_NUM_THREADS": "1", **extra},
        )
        self.seconds = 0.0

    def step(self) -> None:
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} has ended")
        self.seconds += float(answer)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def work(name: str, precision: str, layout: str, batch: int) -> None:
    """Answer each line of the standard input with a training step and its processor seconds."""
    import torch

    encoder = make_encoder(name, layout).train()
    features = torch.randn(batch, FRAMES, MEL_BINS)
    for _ in sys.stdin:
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            embeddings = encoder(features)
        embeddings.square().sum().backward()
        encoder.zero_grad()
        print(time.process_time() - start, flush=True)


def make_encoder(name: str, layout: str):
    """Return the encoder with all its activations in this memory layout, whatever its own is."""
    if name == "speechbrain":
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

        return ECAPA_TDNN(MEL_BINS, lin_neurons=192, channels=[512, 512, 512, 512, 1536])

    from sv.encoders import ENCODERS, build_encoder
    from sv.training.kernels import LAYOUTS, lay_out

    encoder = build_encoder(ENCODERS[name][1](mel_bins=MEL_BINS))
    lay_out(encoder, LAYOUTS[layout.replace("-", "_")])
    return encoder


if __name__ == "__main__":
    work(*sys.argv[1:4], int(sys.argv[4]))
