"""Work in several processes that talk to each other by gloo, and what it returns in each."""

import multiprocessing
import socket

import torch

multiprocessing.set_forkserver_preload(["torch", "sv.methods"])  # loaded once, not in each process


def in_two_processes(work, folder):
    """Return [what ``work(rank)`` returned], of tensors, in the processes 0 and 1."""
    return in_processes(work, folder, 2)


def in_processes(work, folder, count):
    """Return [what ``work(rank)`` returned], of tensors, in ``count`` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = (work, port, str(folder), count)
    torch.multiprocessing.start_processes(_begin, words, nprocs=count, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _begin(rank, work, port, folder, count):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=count
    )
    torch.save(work(rank), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
