"""Copies from the memory of the machine to the device: ordinary memory, and pinned memory."""

from functools import partial

import torch

from benchmarks.gpu.bench import Bench


def measure_copies(bench: Bench) -> None:
    """Measure GB a second for the sizes of a batch; on a CPU a copy within its memory."""
    for size in bench.scale.copied:
        kinds = {"pageable": torch.zeros(size, dtype=torch.uint8)}
        there = torch.empty(size, dtype=torch.uint8, device=bench.device)
        if bench.device.type == "cuda":
            kinds["pinned"] = kinds["pageable"].pin_memory()
        found = bench.compare(
            {n: partial(there.copy_, x, non_blocking=True) for n, x in kinds.items()}
        )
        for name, seconds in found.items():
            best = min(seconds)
            bench.add("copies", memory=name, mb=size / 1e6, gb_per_second=size / best / 1e9)
