"""Work in several processes that talk to each other by gloo, and what it returns in each."""

import multiprocessing
import socket
import sys
from collections import Counter
from contextlib import ExitStack
from unittest import mock

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


class Collectives:
    """Context that counts exchanges between processes by the module of ours that asks for them."""

    def __enter__(self):
        self.counts, self.patches = Counter(), ExitStack()
        for name in ("all_reduce", "all_gather", "broadcast", "gather"):
            real = getattr(torch.distributed, name)

            def counted(*args, real=real, **kwargs):
                self.counts[sys._getframe(1).f_globals["__name__"]] += 1
                return real(*args, **kwargs)

            self.patches.enter_context(mock.patch.object(torch.distributed, name, counted))
        return self

    def __exit__(self, *args):
        self.patches.close()

    def of(self, *modules):
        """Return how many of these modules of ``sv`` asked for, in their order."""
        return [self.counts[f"sv.{module}"] for module in modules]


def _begin(rank, work, port, folder, count):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=count
    )
    torch.save(work(rank), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
