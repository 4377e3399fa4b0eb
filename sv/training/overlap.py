"""The mean of gradients over processes, which is sent while the backward pass still runs.

The weights are divided into buckets, the last layers first, because their gradients are complete
first. When all gradients of a bucket are complete, a hook sends the bucket and the backward pass
goes on. Buckets leave in the order of their numbers, in every process and in every step. So the
processes agree on what they exchange, and a training that resumes adds in the same order.

The idea is that of DistributedDataParallel (Li et al., VLDB 2020, arXiv 2006.15704, section 3.2).
Here a process counts by its share of the batch (`sv.distributed.deal`), and a weight that the step
has not used keeps its gradient None, so an optimiser leaves it alone.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sv import distributed

BUCKET = 1 << 22
"""Number of gradient values that are sent at once: 16 MB in float32."""


class Averaging:
    """Replaces the gradients of weights by their means over processes.

    A step calls `begin` before its last backward pass and `finish` after it. With one process both
    do nothing.
    """

    def __init__(self, weights: Iterable[nn.Parameter], bucket: int = BUCKET):
        self.weights, self.bucket = list(weights), bucket
        self.buckets: list[list[nn.Parameter]] = []
        self.sent: list[tuple[list[Tensor], Tensor, dist.Work]] = []
        if distributed.world_size() > 1:
            for weight in self.weights:
                if weight.requires_grad:
                    weight.register_post_accumulate_grad_hook(self._complete)

    def begin(self, done: Iterable[nn.Parameter] = ()) -> None:
        """Expect the last backward pass of a step.

        done: weights that this backward pass does not reach; they have their gradients already.
        """
        if distributed.world_size() == 1:
            return
        self.sent = []
        self.buckets = buckets_of((w for w in self.weights if w.requires_grad), self.bucket)
        self.number = {w: n for n, bucket in enumerate(self.buckets) for w in bucket}
        self.missing = [len(bucket) for bucket in self.buckets]
        for weight in done:
            if weight.grad is not None:
                self._complete(weight)

    def finish(self) -> None:
        """Send what is left, wait for all buckets, and put the means in their places."""
        for bucket in self.buckets[len(self.sent) :]:
            self._send(bucket)
        self.buckets = []
        for gradients, total, work in self.sent:
            if work is not None:
                work.wait()
                means = (total / distributed.world_size()).split([g.numel() for g in gradients])
                for gradient, mean in zip(gradients, means, strict=True):
                    gradient.copy_(mean.view_as(gradient))
        self.sent = []

    def _complete(self, weight: nn.Parameter) -> None:
        """Count a gradient that is complete; send the buckets whose turn has come."""
        if not self.buckets:
            return  # not the last backward pass of the step
        self.missing[self.number[weight]] -= 1
        while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
            self._send(self.buckets[len(self.sent)])

    @torch.no_grad()
    def _send(self, bucket: list[nn.Parameter]) -> None:
        gradients = [weight.grad for weight in bucket if weight.grad is not None]
        if not gradients:  # the step has used none of these weights
            self.sent.append(([], torch.empty(0), None))
            return
        total = torch.cat([gradient.flatten() for gradient in gradients])
        total *= distributed.relative_share()
        self.sent.append((gradients, total, dist.all_reduce(total, async_op=True)))


def buckets_of(weights: Iterable[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    """Divide weights into buckets of one type and of up to ``size`` values, the last ones first."""
    buckets: list[list[nn.Parameter]] = []
    filled = 0
    for weight in reversed(list(weights)):
        other = buckets and buckets[-1][0].dtype != weight.dtype
        if not buckets or other or filled + weight.numel() > size:
            buckets.append([])
            filled = 0
        buckets[-1].append(weight)
        filled += weight.numel()
    return buckets
