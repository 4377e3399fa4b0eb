"""SSPS in a training: it fills its memories, prepares an epoch, and gives figures for the log."""

import torch

from sv.methods.base import Method, Moment, Stats, Views
from sv.sampling.ssps import SSPS
from sv.training.oracle import Oracle

MEMORIES = "positives."
"""Where the buffers of SSPS are in the state of a method."""


def start_epoch(method: Method, moment: Moment, oracle: Oracle | None) -> Stats:
    """Let the method and its positives prepare an epoch; return figures of it."""
    figures = method.start_epoch(moment)
    if method.positives is not None:
        figures |= method.positives.start_epoch(int(moment.epoch))
        if oracle is not None:
            figures |= oracle.of_clusters(method.positives)
    return figures


def positive_figures(method: Method, views: Views, oracle: Oracle | None) -> Stats:
    """Return how many anchors found a positive, and what true labels say of those."""
    ssps = method.positives
    if ssps is None or not ssps.sampling:
        return {}
    figures = {"coverage": ssps.coverage}
    if oracle is not None:
        figures |= oracle.of_positives(ssps, views.items)
    return figures


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
