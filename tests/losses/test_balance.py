import pytest
import torch

from sv.losses import mgda_weight


def test_no_other_weight_gives_a_shorter_gradient(draw):
    for size in (0.1, 1.0, 10.0):
        first, second = draw(4, 3), draw(4, 3) + size
        found = mgda_weight(first, second)
        grid = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None, None]
        lengths = (grid * first + (1 - grid) * second).square().sum(dim=(1, 2))
        best = (found * first + (1 - found) * second).square().sum()
        assert best <= lengths.min() + 1e-9


def test_the_ends_and_equal_gradients(draw):
    g = draw(5)
    assert mgda_weight(g, 3 * g) == 1.0 and mgda_weight(3 * g, g) == 0.0
    assert mgda_weight(g, g) == pytest.approx(0.5)
    assert mgda_weight(g, -3 * g) == pytest.approx(0.75)
