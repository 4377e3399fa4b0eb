"""Several GPUs: how fast they add their gradients, and whether the sum is right."""

import os
import socket
import time

import torch
import torch.distributed as dist

from benchmarks.gpu.bench import Bench


def measure_processes(bench: Bench) -> None:
    """Start a process for each GPU; in the miniature, two processes on the CPU.

    A single GPU only shows that nccl starts: nothing goes over a bus.
    """
    on_gpu = bench.device.type == "cuda"
    count = torch.cuda.device_count() if on_gpu else 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = str(bench.folder / "processes.pt")
    words = (count, port, on_gpu, bench.scale.gradients, out)
    # A program that has used a GPU cannot be forked; without one, a fork starts sooner.
    method = "spawn" if on_gpu else "fork"
    torch.multiprocessing.start_processes(
        _work, words, nprocs=count, daemon=True, start_method=method
    )
    seconds, right = torch.load(out, weights_only=True)
    size = 4 * bench.scale.gradients
    bench.add(
        "processes",
        backend="nccl" if on_gpu else "gloo",
        count=count,
        mb=size / 1e6,
        milliseconds_to_average=1e3 * seconds,
        gb_per_second_of_the_bus=2 * (count - 1) / count * size / seconds / 1e9,
        sum_is_right=right,
    )


def _work(rank: int, count: int, port: int, on_gpu: bool, values: int, out: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count)}
    device = torch.device(f"cuda:{rank}" if on_gpu else "cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=count,
    )
    gradients = torch.full((values,), float(rank), device=device)
    dist.all_reduce(gradients)
    right = bool((gradients == count * (count - 1) / 2).all())
    times = []
    for _ in range(10):
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(gradients)
        float(gradients[0])  # waits for a GPU
        times.append(time.perf_counter() - start)
    if rank == 0:
        torch.save((min(times), right), out)
    dist.destroy_process_group()
