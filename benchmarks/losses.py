"""NT-Xent and MoCo, forward and backward, against the ways they are usually written.

Memory is the growth of the peak resident size over one forward and backward pass, each way in a
fresh process of its own that has done the same on a small size before.
"""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.harness import Table, compare
from sv.device import tune_float32_products
from sv.losses import moco_nce, nt_xent

TEMPERATURE = 0.03


def masks(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Cosines of everything, positives and negatives gathered by boolean masks, soft targets.

    This is how sslsv writes it.
    """
    z = F.normalize(torch.cat([z1, z2]))
    cosines = z @ z.T
    itself = torch.eye(len(z), dtype=torch.bool)
    positive = torch.eye(len(z1), dtype=torch.bool).repeat(2, 2) & ~itself
    negative = ~(positive | itself)
    gathered = [cosines[mask].view(len(z), -1) for mask in (positive, negative)]
    logits = torch.cat(gathered, dim=1) / TEMPERATURE
    targets = torch.zeros_like(logits)
    targets[:, 0] = 1.0
    return F.cross_entropy(logits, targets)


def minus_identity(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Four products, a large number off the diagonals, cross-entropy of 2N logits a row.

    This is how SimCLR's own code and wespeaker write it.
    """
    z1, z2 = F.normalize(z1), F.normalize(z2)
    itself = torch.eye(len(z1)) * 1e9
    one = torch.cat([z1 @ z2.T, z1 @ z1.T - itself], dim=1) / TEMPERATURE
    two = torch.cat([z2 @ z1.T, z2 @ z2.T - itself], dim=1) / TEMPERATURE
    labels = torch.arange(len(z1))
    return (F.cross_entropy(one, labels) + F.cross_entropy(two, labels)) / 2


def library(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """One matrix of logits and the library's cross-entropy."""
    z = F.normalize(torch.cat([z1, z2]))
    logits = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def blocks(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Ours."""
    return nt_xent(z1, z2, temperature=TEMPERATURE)


def moco_soft_targets(query: torch.Tensor, key: torch.Tensor, queue: torch.Tensor) -> torch.Tensor:
    """A copy of the queue, logits joined, soft targets: as in sslsv."""
    query, key, queue = F.normalize(query), F.normalize(key), queue.clone().detach()
    positive, negative = (query * key).sum(dim=1, keepdim=True), query @ queue.T
    logits = torch.cat([positive, negative], dim=1) / TEMPERATURE
    targets = torch.zeros_like(logits)
    targets[:, 0] = 1.0
    return F.cross_entropy(logits, targets)


def moco_concatenated(query: torch.Tensor, key: torch.Tensor, queue: torch.Tensor) -> torch.Tensor:
    """Logits joined, class labels: as in MoCo's own code and wespeaker."""
    query, key, queue = F.normalize(query), F.normalize(key), queue.clone().detach()
    positive, negative = (query * key).sum(dim=1, keepdim=True), query @ queue.T
    logits = torch.cat([positive, negative], dim=1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long))


def moco_blocks(query: torch.Tensor, key: torch.Tensor, queue: torch.Tensor) -> torch.Tensor:
    """Ours."""
    return moco_nce(query, key, queue, temperature=TEMPERATURE)


NT_XENT = [masks, minus_identity, library, blocks]
MOCO = [moco_soft_targets, moco_concatenated, moco_blocks]


def embeddings(way: Callable, size: int, dim: int, queue: int) -> list[torch.Tensor]:
    """Return the inputs of one of the ways; those with a gradient first."""
    generator = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, size, dim, generator=generator).unbind()
    z1.requires_grad_()
    if way in NT_XENT:
        return [z1, z2.requires_grad_()]
    return [z1, z2, F.normalize(torch.randn(queue, dim, generator=generator))]


def once(way: Callable, inputs: list[torch.Tensor]) -> None:
    """Forward and backward."""
    torch.autograd.grad(way(*inputs), [x for x in inputs if x.requires_grad])


def peak_growth(way: Callable, sizes: tuple[int, int, int]) -> float:
    """Return by how many MB the peak resident size grows in a fresh process.

    With glibc's own settings, under which freed memory is given back and not counted again.
    """
    code = f"from benchmarks import losses; losses.print_growth(losses.{way.__name__}, {sizes})"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain
    )
    return float(run.stdout)


def print_growth(way: Callable, sizes: tuple[int, int, int]) -> None:
    """What ``peak_growth`` runs."""
    torch.set_num_threads(1)
    tune_float32_products()
    once(way, embeddings(way, 64, 64, 64))
    inputs = embeddings(way, *sizes)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status("VmRSS")
    once(way, inputs)
    print((_status("VmHWM") - before) / 1024)


def _status(name: str) -> int:
    """Return a figure of this process in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def table(
    title: str, ways: list[Callable], sizes: tuple[int, int, int], threads: int, rounds: int
) -> Table:
    """Compare the ways, the first of which is the base.

    One thread is timed by its processor time, which other programs on the machine change less.
    """
    torch.set_num_threads(threads)
    inputs = embeddings(ways[0], *sizes)
    memory = {}
    if threads == 1:
        memory = {w.__name__: f"peak grows by {peak_growth(w, sizes):,.0f} MB" for w in ways}
    return compare(
        f"{title}, forward and backward, threads: {threads}",
        {way.__name__: lambda way=way: once(way, inputs) for way in ways},
        base=ways[0].__name__,
        items=1,
        unit="loss",
        rounds=rounds,
        notes=memory,
        clock=time.process_time if threads == 1 else time.perf_counter,
    )


def benchmark(quick: bool) -> list[Table]:
    """NT-Xent and MoCo, forward and backward, against masks, concatenation and cross-entropy."""
    tune_float32_products()  # as training does
    rounds = 3 if quick else 5
    tables = []
    for threads in (1, 2):
        for size, dim in [(256, 64)] if quick else [(4096, 512)]:
            title = f"NT-Xent symmetric, N={size}, D={dim}"
            tables.append(table(title, NT_XENT, (size, dim, 0), threads, rounds))
        for batch, dim, queue in (
            [(16, 64, 1024)] if quick else [(256, 512, 2**16), (256, 128, 2**16)]
        ):
            title = f"MoCo, batch {batch}, queue {queue}, D={dim}"
            tables.append(table(title, MOCO, (batch, dim, queue), threads, rounds))
    return tables
