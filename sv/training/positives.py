"""SSPS in a training: filling its memories, preparing an epoch, and figures for the log."""

import torch

from sv.methods.base import Method, Moment, Stats, Views
from sv.sampling.ssps import SSPS
from sv.training.oracle import Oracle

MEMORIES = "positives."
"""Prefix of the names of SSPS's buffers in the state of a method."""


def start_epoch(method: Method, moment: Moment, oracle: Oracle | None) -> Stats:
    """Let the method and its positives prepare an epoch; return figures to log."""
    figures = method.start_epoch(moment)
    if method.positives is not None:
        figures |= method.positives.start_epoch(int(moment.epoch))
        if oracle is not None:
            figures |= oracle.of_clusters(method.positives)
    return figures


def positive_figures(method: Method, views: Views, oracle: Oracle | None) -> Stats:
    """Return the share of anchors that found a positive; with an oracle, how many are right."""
    ssps = method.positives
    if ssps is None or not ssps.sampling:
        return {}
    figures = {"coverage": ssps.coverage}
    if oracle is not None:
        figures |= oracle.of_positives(ssps, views.items)
    return figures


def steps_of_pass(ssps: SSPS | None, epoch: int, steps: int) -> list[tuple[int, int]]:
    """Return the (epoch, step) of the batches that must still fill the memories of SSPS.

    The list is empty if SSPS does not start with a pass. Crops are those of the previous epoch, so
    that the first epoch of training has new crops.
    """
    if ssps is None or ssps.config.fill != "pass":
        return []
    return [(max(0, epoch - 1), step) for step in range(ssps.passed, steps)]


@torch.no_grad()
def fill_step(method: Method, views: Views) -> None:
    """Remember the references and positives of a batch; nothing else in the method changes.

    The method runs in evaluation mode, so batch norms use their running statistics and learn
    nothing. Other buffers that a training step changes, such as a queue of keys or a centre, are
    restored.
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
