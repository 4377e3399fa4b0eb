"""Several processes, one a device: what losses and statistics need; nothing to do in one process.

The convention: every process computes its loss as a mean over its own items, against the joined
embeddings where other items matter, and gradients of the weights are averaged over processes (as
DistributedDataParallel does). That gives the loss and the gradients of one process with the joined
batch, provided that all processes have batches of the same size.

Processes are started by torchrun or `utils/processes`, which say in the environment how many there
are (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).
"""

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sv.device import choose_device
from sv.errors import InputError, LostProcess

Result = TypeVar("Result")

BUCKET = 1 << 22
"""Numbers of gradients that are averaged at once: 16 MB in float32."""


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def own_rows(count: int) -> slice | None:
    """Return which rows of a joined tensor are this process's, if each process has ``count``.

    None in one process: the ``anchors`` argument of `sv.losses.nt_xent` and others.
    """
    if world_size() == 1:
        return None
    return slice(rank() * count, (rank() + 1) * count)


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes, (processes · N, …), in the order of their numbers.

    x: (N, …), the same N everywhere. The gradient that arrives here from all processes is summed
    and each process gets its rows of it, so a loss that is computed from the joined rows in every
    process counts as many times as there are processes; averaging the gradients undoes that.
    """
    return x if world_size() == 1 else _Gather.apply(x)


@torch.no_grad()
def to_first(x: Tensor) -> Tensor | None:
    """Return the rows of all processes in the first of them, None in the others.

    x: (N, …) in the memory of the processor, of any N in each.
    """
    if world_size() == 1:
        return x
    counts = gather(torch.tensor([len(x)])).tolist()
    padded = x.new_zeros(max(counts), *x.shape[1:])  # all must be of one size
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in counts] if is_first() else None
    dist.gather(padded, parts)
    return None if parts is None else torch.cat([p[:n] for p, n in zip(parts, counts, strict=True)])


def all_reduce_mean(x: Tensor) -> Tensor:
    """Return the mean over processes, without gradient; ``x`` is left as it is."""
    if world_size() == 1:
        return x.detach()
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def highest(x: Tensor) -> Tensor:
    """Overwrite ``x`` with the largest of its values in any process and return it."""
    if world_size() > 1:
        dist.all_reduce(x, dist.ReduceOp.MAX)
    return x


def broadcast(x: Tensor, source: int = 0) -> Tensor:
    """Overwrite ``x`` with that of process ``source`` and return it."""
    if world_size() > 1:
        dist.broadcast(x.detach(), source)
    return x


def start(device: str, timeout: float) -> torch.device:
    """Join the other processes, if there are any; return this one's device.

    Tensors of processors travel by gloo, those of GPUs by nccl.

    Parameters
    ----------
    device: as for `choose_device`; ``auto`` gives each process of a machine a GPU of its own.
    timeout: seconds after which a process that waits for another gives up.

    Raises
    ------
    InputError: there are fewer GPUs than processes of this machine.
    LostProcess: the others did not come in time.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return choose_device(device)
    place, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if device in ("auto", "cuda") and gpus:
        if place >= gpus:
            raise InputError(
                f"process {place + 1} of this machine finds {gpus} GPUs: start as many processes "
                "as there are GPUs (--ngpu), or give --device cpu"
            )
        device = f"cuda:{place}"
    chosen = choose_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        raise LostProcess(f"the processes do not find each other: {error}") from None
    return chosen


def with_plain_errors(work: Callable[[], Result]) -> Result:
    """Return ``work()``; what fails because another process has gone becomes a plain sentence.

    Raises:
        LostProcess: says that, and where to look.
    """
    try:
        return work()
    except RuntimeError as error:
        told = str(error)
        if world_size() == 1 or not (
            isinstance(error, dist.DistError) or "gloo" in told or "NCCL" in told
        ):
            raise
        raise LostProcess(
            f"process {rank() + 1} of {world_size()} has lost the others ({told.splitlines()[0]}): "
            "the first of them to fail says why; if none does, a machine or its network is gone, "
            "or --process-timeout is too short. Start it again to go on from the last checkpoint"
        ) from None


def stop() -> None:
    """Leave the other processes in order."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def is_first() -> bool:
    """Return whether this is the process that writes files and talks to the user."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    any_of(False)


def any_of(flag: bool) -> bool:
    """Return whether ``flag`` is true in any process."""
    if world_size() == 1:
        return flag
    return bool(highest(torch.tensor(int(flag))))


def from_first(flag: bool) -> bool:
    """Return the ``flag`` of the first process, so that all decide alike."""
    return bool(broadcast(torch.tensor(int(flag))))


def mean_of(figures: dict[str, Tensor | float]) -> dict[str, float]:
    """Return the means over processes of figures that all of them have."""
    names = sorted(figures)
    values = torch.tensor([float(figures[name]) for name in names], dtype=torch.float64)
    means = dict(zip(names, all_reduce_mean(values).tolist(), strict=True))
    return {name: means[name] for name in figures}


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of weights by their means over processes, a bucket at a time."""
    if world_size() == 1:
        return
    bucket: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        other = bucket and bucket[0].dtype != parameter.grad.dtype
        if bucket and (other or sum(g.numel() for g in bucket) + parameter.numel() > BUCKET):
            _average(bucket)
            bucket = []
        bucket.append(parameter.grad)
    if bucket:
        _average(bucket)


@torch.no_grad()
def average_statistics(network: nn.Module) -> None:
    """Replace the running statistics of batch norms by their means over processes."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    tensors = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)]
    if world_size() == 1 or not tensors:
        return
    flat = all_reduce_mean(torch.cat(tensors))
    for tensor, mean in zip(tensors, flat.split([len(t) for t in tensors]), strict=True):
        tensor.copy_(mean)


def _average(bucket: list[Tensor]) -> None:
    flat = all_reduce_mean(torch.cat([grad.flatten() for grad in bucket]))
    for grad, mean in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
        grad.copy_(mean.view_as(grad))


@torch.no_grad()
def spread(network: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    for tensor in [*network.parameters(), *network.buffers()]:
        broadcast(tensor)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        ctx.rows = slice(rank() * len(x), (rank() + 1) * len(x))
        joined = x.new_empty(world_size() * len(x), *x.shape[1:])
        dist.all_gather(list(joined.chunk(world_size())), x)
        return joined

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad[ctx.rows]
