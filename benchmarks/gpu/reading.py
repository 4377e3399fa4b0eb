"""Crops a second that one core reads for a system."""

import time

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.systems import SYSTEMS, encoders_of, trainer_of


def measure_reading(bench: Bench) -> None:
    """Read batches of every system in this process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in SYSTEMS:
            _measure(bench, name)
    finally:
        torch.set_num_threads(threads)


def _measure(bench: Bench, name: str) -> None:
    encoder = encoders_of(bench, name)[-1]
    source = trainer_of(bench, name, encoder, "train.compile=false").source
    source[0, 0]
    steps, start = 0, time.perf_counter()
    while steps == 0 or (steps < 20 and time.perf_counter() - start < bench.scale.round_seconds):
        steps += 1
        source[0, steps]
    seconds = (time.perf_counter() - start) / steps
    count = sum(group.count for group in source.groups) * source.batches.batch_size
    bench.add(
        "reading",
        system=name,
        crops_per_second_of_a_core=count / seconds,
        batches_per_second_of_a_core=1 / seconds,
    )
