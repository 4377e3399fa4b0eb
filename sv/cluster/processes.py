"""Sums over the processes of torch.distributed if each process holds a part of the points."""

import torch
import torch.distributed as dist

from sv import distributed


def sum_over_processes(tensor: torch.Tensor, sharded: bool) -> torch.Tensor:
    """Return ``tensor`` summed in place over all processes; unchanged if there is only one."""
    if sharded and distributed.world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def share_of(value: float, sharded: bool) -> tuple[float, float]:
    """Return the sum of ``value`` over the processes before this one, and over all processes."""
    if not sharded or distributed.world_size() == 1:
        return 0.0, value
    values = torch.zeros(distributed.world_size(), dtype=torch.float64)
    values[distributed.rank()] = value
    values = sum_over_processes(values.to(_device()), sharded).tolist()
    return sum(values[: distributed.rank()]), sum(values)


def is_first(sharded: bool) -> bool:
    """Return whether this process is the one that talks to the user."""
    return not sharded or distributed.rank() == 0


def _device() -> str:
    """Return the device of sums: NCCL sums tensors on a GPU only."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
