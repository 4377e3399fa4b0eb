"""Several processes, one for each device: exchange of tensors for losses and statistics.

Convention: every process computes its loss as a mean over its own items. If the loss needs other
items, the process compares its own with the joined embeddings of all processes. Gradients of the
weights are averaged over processes (`sv.training.overlap`). The result is the loss and the
gradients of one process with the joined batch. If the batch size is no multiple of the number of
processes (`deal`), some processes have one item more than others. So every mean over processes
weights a process by its number of items.

torchrun or `utils/processes` starts the processes, and describes them in the environment (RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sv.device import choose_device
from sv.errors import InputError, LostProcess

Result = TypeVar("Result")


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


_counts: list[int] = []
"""Items of a batch in each process, as `deal` divided them; empty if all have the same number."""


def deal(items: int) -> slice | None:
    """Divide batches of ``items`` among processes from now on; return this process's; None: all.

    Shares are as equal as possible: of 650 items four processes get 163, 163, 162 and 162.
    `gather`, `own_rows` and the means over processes take the shares into account.

    Raises:
        InputError: there are fewer items than processes.
    """
    size = world_size()
    if items < size:
        raise InputError(
            f"train.batch_size is {items}, of all {size} processes together: each needs at least "
            "one item, so make it larger or start fewer processes"
        )
    equal, more = divmod(items, size)
    _counts[:] = [equal + (number < more) for number in range(size)] if more else []
    return own_rows(_counts[rank()] if more else equal)


def relative_share() -> float:
    """Return how many items of a batch this process has, in units of the mean over processes."""
    return _counts[rank()] * len(_counts) / sum(_counts) if _counts else 1.0


def own_rows(count: int) -> slice | None:
    """Return the rows of a joined tensor that belong to this process, which has ``count`` of them.

    All items have the same number of rows. The result is None if there is one process. It is the
    ``anchors`` argument of `sv.losses.nt_xent` and others.

    Raises:
        ValueError: ``count`` is not a multiple of the items of this process.
    """
    if world_size() == 1:
        return None
    if not _counts:
        return slice(rank() * count, (rank() + 1) * count)
    of_an_item, rest = divmod(count, _counts[rank()])
    if rest:
        raise ValueError(f"{count} rows are not of {_counts[rank()]} items")
    first = of_an_item * sum(_counts[: rank()])
    return slice(first, first + count)


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes, (processes · N, …), in the order of their numbers.

    x: (N, …), with the same N in all processes unless `deal` made unequal shares. In the backward
    pass the gradients of all processes are summed, and each process gets its own rows of the sum.
    So a loss that every process computes from the joined rows counts once for each process;
    averaging the gradients corrects that.
    """
    return x if world_size() == 1 else _Gather.apply(x)


def elsewhere(x: Tensor) -> Tensor:
    """Return the rows of all other processes, as `gather` does; no rows if there is one process."""
    if world_size() == 1:
        return x[:0]
    own, joined = own_rows(len(x)), gather(x)
    return torch.cat([joined[: own.start], joined[own.stop :]])


def factor_of_mean(count: Tensor) -> Tensor:
    """Return the factor for a mean over ``count`` elements of this process.

    The mean over processes of these products is the mean over the elements of all processes. A mean
    over items needs no factor. Use it if the number of elements differs between items.
    """
    own = count / relative_share()
    return own / all_reduce_mean(own)


@torch.no_grad()
def to_first(x: Tensor) -> Tensor | None:
    """Return the rows of all processes in the first process, None in the others.

    x: (N, …) in the memory of the processor; N may differ between processes.
    """
    if world_size() == 1:
        return x
    counts = _lengths(x)
    padded = _padded(x, max(counts))  # all must have the same size
    parts = [torch.empty_like(padded) for _ in counts] if is_first() else None
    dist.gather(padded, parts)
    return None if parts is None else torch.cat([p[:n] for p, n in zip(parts, counts, strict=True)])


def all_reduce_mean(x: Tensor) -> Tensor:
    """Return the mean over processes, without gradient; ``x`` does not change."""
    if world_size() == 1:
        return x.detach()
    total = x.detach() * relative_share()
    dist.all_reduce(total)
    return total / world_size()


def mean_of_stacked(x: Tensor) -> Tensor:
    """Return the mean over processes of ``x`` (processes, …), which has one entry for each."""
    if not _counts:
        return x.mean(dim=0)
    shares = torch.tensor(_counts, dtype=x.dtype, device=x.device) / sum(_counts)
    return torch.tensordot(shares, x, dims=1)


def highest(x: Tensor) -> Tensor:
    """Overwrite ``x`` with its elementwise maximum over all processes, and return it."""
    if world_size() > 1:
        dist.all_reduce(x, dist.ReduceOp.MAX)
    return x


def broadcast(x: Tensor, source: int = 0) -> Tensor:
    """Overwrite ``x`` with the ``x`` of process ``source``, and return it."""
    if world_size() > 1:
        dist.broadcast(x.detach(), source)
    return x


def start(device: str, timeout: float) -> torch.device:
    """Join the other processes, if there are any; return this one's device.

    gloo exchanges tensors of processors, nccl those of GPUs.

    Parameters
    ----------
    device: as for `choose_device`; ``auto`` gives each process of a machine a GPU of its own.
    timeout: seconds that a process waits for another before it gives up.

    Raises
    ------
    InputError: this machine has fewer GPUs than processes.
    LostProcess: the others did not join in time.
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
    """Return ``work()``; if it fails because another process has ended, raise a plain sentence.

    Raises:
        LostProcess: another process has ended; the message says where to look.
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
            "the first one that fails says why; if none does, a machine or its network has failed, "
            "or --process-timeout is too short. Start it again to go on from the last checkpoint"
        ) from None


def stop() -> None:
    """Leave the other processes in order."""
    _counts.clear()
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
    """Return the ``flag`` of the first process, so that all decide the same."""
    return bool(broadcast(torch.tensor(int(flag))))


def mean_of(figures: dict[str, Tensor | float]) -> dict[str, float]:
    """Return the means over processes of figures that all processes have."""
    names = sorted(figures)
    values = torch.tensor([float(figures[name]) for name in names], dtype=torch.float64)
    means = dict(zip(names, all_reduce_mean(values).tolist(), strict=True))
    return {name: means[name] for name in figures}


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


@torch.no_grad()
def spread(network: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    for tensor in [*network.parameters(), *network.buffers()]:
        broadcast(tensor)


def _lengths(x: Tensor) -> list[int]:
    """Return the number of rows that each process has."""
    lengths = torch.empty(world_size(), dtype=torch.long)
    dist.all_gather(list(lengths.unsqueeze(1).unbind()), torch.tensor([len(x)]))
    return lengths.tolist()


def _padded(x: Tensor, length: int) -> Tensor:
    """Return ``x`` with rows of zeros up to ``length``."""
    padded = x.new_zeros(length, *x.shape[1:])
    padded[: len(x)] = x
    return padded


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        # Not from `_counts`: some tensors have one row for each process, not rows of items.
        counts = _lengths(x) if _counts else [len(x)] * world_size()
        longest, first = max(counts), sum(counts[: rank()])
        ctx.rows = slice(first, first + len(x))
        x = x.contiguous() if len(x) == longest else _padded(x, longest)
        joined = x.new_empty(world_size() * longest, *x.shape[1:])
        parts = joined.chunk(world_size())
        dist.all_gather(list(parts), x)
        if min(counts) == longest:
            return joined
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, grad):
        grad = grad * relative_share()
        dist.all_reduce(grad)
        return grad[ctx.rows] / relative_share()
