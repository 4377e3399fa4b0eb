"""Shuffled batches for a network whose batch norms must not tell positives from negatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from sv import distributed


def shuffled_forward(
    network: Callable[[Tensor], Tensor], crops: Tensor, seed: int, parts: int = 1
) -> Tensor:
    """Return the outputs of ``network`` for the crops of all processes, dealt out anew.

    A batch norm measures the crops of its own process. If the two crops of an utterance were
    always in batches of the same company, those statistics would give the pair away (He et al.
    2020, section 3.3). So each process gets a random share of all crops, in one or several batches,
    and the outputs are put back in order.

    Parameters
    ----------
    crops: (batch, frames, mel) of this process's items.
    seed: of the deal, the same in every process.
    parts: batches into which each process divides its share.

    Returns
    -------
    (joined batch, dim), in order of processes; with one process and one part simply the outputs.
    """
    if distributed.world_size() == parts == 1:
        return network(crops)
    everything = distributed.gather(crops)
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(seed))
    order = order.to(crops.device)
    mine = order[distributed.own_rows(len(crops)) or slice(None)]
    outputs = [network(everything[some]) for some in mine.tensor_split(parts) if len(some)]
    shuffled = distributed.gather(torch.cat(outputs))
    return torch.empty_like(shuffled).index_copy_(0, order, shuffled)
