import math

import numpy as np
import pytest

from sv.sampling.two_gaussians import SMALLEST, TwoGaussians, fit


def density(x, weight, mean, deviation):
    z = (x - mean) / deviation
    return weight * math.exp(-z * z / 2) / (deviation * math.sqrt(2 * math.pi))


def naive_fit(values, iterations):
    """EM in loops, from the lower and the upper half."""
    ranks = sorted(range(len(values)), key=lambda i: (values[i], i))
    upper = set(ranks[len(values) // 2 :])
    belongs = [[0.0, 1.0] if i in upper else [1.0, 0.0] for i in range(len(values))]
    middle = sum(values) / len(values)
    spread = math.sqrt(sum((x - middle) ** 2 for x in values) / len(values))
    for _ in range(iterations):
        parts = []
        for c in (0, 1):
            count = sum(row[c] for row in belongs)
            mean = sum(row[c] * x for row, x in zip(belongs, values, strict=True)) / count
            square = sum(row[c] * (x - mean) ** 2 for row, x in zip(belongs, values, strict=True))
            deviation = max(math.sqrt(square / count), SMALLEST * spread)
            parts.append((count / len(values), mean, deviation))
        belongs = []
        for x in values:
            both = [density(x, *part) for part in parts]
            belongs.append([each / sum(both) for each in both])
    return parts


@pytest.mark.parametrize("iterations", [1, 2, 25])
def test_em_equals_the_naive_one(iterations):
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(-1, 0.5, 40), rng.normal(2, 1.0, 20), [0.5, 0.5]])
    rng.shuffle(values)
    found = fit(values, iterations, tolerance=-np.inf)
    expected = naive_fit(values.tolist(), iterations)
    for column, name in enumerate(("weights", "means", "deviations")):
        np.testing.assert_allclose(getattr(found, name), [part[column] for part in expected], 1e-9)


def test_it_finds_what_made_the_values_whatever_their_order():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-2, 0.6, 3000), rng.normal(1.5, 0.4, 1000)])
    found = fit(values)
    np.testing.assert_allclose(found.weights, [0.75, 0.25], atol=0.02)
    np.testing.assert_allclose(found.means, [-2, 1.5], atol=0.05)
    np.testing.assert_allclose(found.deviations, [0.6, 0.4], atol=0.05)
    again = fit(rng.permutation(values))
    np.testing.assert_allclose(again.means, found.means, atol=1e-3)
    (crossing,) = found.crossings()
    low, high = found.densities(np.array([crossing]))[:, 0]
    assert found.means[0] < crossing < found.means[1] and low == pytest.approx(high)


def test_crossings_are_those_of_a_dense_grid():
    rng, counts = np.random.default_rng(1), set()
    for _ in range(200):
        weight, low = rng.uniform(0.02, 0.98), rng.normal()
        means = np.array([low, low + rng.uniform(0.05, 4)])
        mixture = TwoGaussians(np.array([weight, 1 - weight]), means, rng.uniform(0.2, 2, 2))
        grid = np.linspace(*means, 20001)[1:-1]
        above = np.diff(np.sign(np.subtract(*mixture.densities(grid)))) != 0
        expected = grid[:-1][above]
        found = mixture.crossings()
        assert len(found) == len(expected)
        np.testing.assert_allclose(found, expected, atol=4e-4)
        counts.add(len(found))
    assert counts >= {0, 1}
    alike = TwoGaussians(np.array([0.5, 0.5]), np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    assert alike.crossings() == pytest.approx([1.0])


@pytest.mark.parametrize("values", [[1.0] * 9, [0.0] * 8 + [5.0]])
def test_values_that_are_hardly_two_kinds_give_finite_numbers(values):
    found = fit(np.array(values))
    assert all(np.isfinite(part).all() for part in (found.weights, found.means, found.deviations))
    assert (found.deviations > 0).all() and len(found.crossings()) <= 2


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [1.0, 2.0, np.inf, 3.0], [[1.0, 2.0]] * 4])
def test_too_few_values_or_infinite_ones_are_refused(values):
    with pytest.raises(ValueError, match="4 finite values"):
        fit(np.array(values))
