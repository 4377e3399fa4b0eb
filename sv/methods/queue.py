"""A memory of embeddings of earlier batches: negatives for MoCo, more samples for SwAV."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.errors import InputError
from sv.methods.base import Facts


class Queue(nn.Module):
    """The last ``size`` rows of unit length that were put in; at the start, random rows.

    ``rows`` (size, dim) is a buffer, so a training that resumes has the same queue. Random rows are
    easy negatives for the first steps, and no step is a special case.
    """

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(size, dim)))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def put(self, rows: Tensor) -> None:
        """Replace the oldest rows by ``rows`` (n, dim); n may be larger than ``size``."""
        size = len(self.rows)
        kept = rows[-size:].to(self.rows.dtype)
        first = self.position + len(rows) - len(kept)
        places = (first + torch.arange(len(kept), device=rows.device)) % size
        self.rows.index_copy_(0, places, kept)
        self.position.copy_((self.position + len(rows)) % size)


def check_queue(name: str, size: int, facts: Facts | None) -> None:
    """Raise ``InputError`` if a queue is larger than the training set.

    Such a queue would hold a crop of every anchor's own utterance.
    """
    utterances = facts.utterances if facts else 0
    if utterances and size > utterances:
        raise InputError(
            f"method.{name} is {size} but the training set has {utterances} utterances: every "
            f"utterance would meet crops of itself in the queue. Lower it (--set method.{name}="
            f"{max(1, utterances // 4)}) or add data"
        )
