"""Fills the memories of SSPS by one look at the training set, before training goes on."""

import torch

from sv.methods.base import Method, Views
from sv.sampling.ssps import SSPS

MEMORIES = "positives."
"""Where the buffers of SSPS are in the state of a method."""


def steps_of_pass(ssps: SSPS | None, epoch: int, steps: int) -> list[tuple[int, int]]:
    """Return the (epoch, step) of the batches to look at; none where no look is due.

    Crops are those of the epoch before, so that the first epoch of training brings new ones.
    """
    if ssps is None or ssps.config.fill != "pass":
        return []
    return [(max(0, epoch - 1), step) for step in range(ssps.passed, steps)]


@torch.no_grad()
def fill_step(method: Method, views: Views) -> None:
    """Remember the references and positives of a batch; nothing else of the method changes.

    The method runs in evaluation mode: batch norms use their running statistics and learn nothing.
    What a step of training moves beside the weights, a queue of keys or a centre, is put back.
    """
    ssps = method.positives
    ssps.filling, ssps.sampling = True, False
    training = method.training
    method.eval()
    kept = {
        name: buffer.clone()
        for name, buffer in method.named_buffers()
        if not name.startswith(MEMORIES)
    }
    method.training_step(views)
    for name, buffer in method.named_buffers():
        if name in kept:
            buffer.copy_(kept[name])
    method.train(training)
    ssps.passed += 1
