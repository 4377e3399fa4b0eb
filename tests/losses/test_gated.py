import math

import pytest
import torch

from sv.losses import gated_mean


def naive(losses, keep):
    total, count = 0.0, 0
    for loss, kept in zip(losses, keep, strict=True):
        if kept:
            total, count = total + loss, count + 1
    return total / count if count else 0.0 * losses.sum()


@pytest.mark.parametrize(
    "keep", [[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
)
def test_the_gated_mean_equals_the_naive_loop(keep):
    losses = torch.tensor([0.5, 3.0, 1.5, 0.1, 9.0], dtype=torch.float64)
    keep = torch.tensor(keep, dtype=torch.bool)
    values, gradients = [], []
    for function in (gated_mean, naive):
        x = losses.clone().requires_grad_()
        value = function(x, keep)
        value.backward()
        values.append(value.detach())
        gradients.append(x.grad)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_loss_that_does_not_count_may_be_infinite():
    losses = torch.tensor([1.0, math.inf, 3.0], requires_grad=True)
    loss = gated_mean(losses, torch.tensor([True, False, True]))
    loss.backward()
    assert loss.item() == 2.0 and losses.grad.tolist() == [0.5, 0.0, 0.5]


def test_halves_of_a_batch_average_to_the_whole():
    losses, keep = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, False, True, True])
    share = keep.float().mean()
    halves = [gated_mean(losses[rows], keep[rows], share) for rows in (slice(2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, gated_mean(losses, keep))
    with pytest.raises(ValueError, match="must both be"):
        gated_mean(losses, keep[:2])
