"""A mixture of two Gaussians in one dimension, fitted by EM, and where the two are equal.

Two kinds of values make such a mixture, for example losses of right and of wrong labels: the point
between the two modes where both are equally likely separates them (DLG: Han, Chen & Qian,
"Self-supervised speaker verification using dynamic loss-gate and label correction", Interspeech
2022, arXiv 2208.01928).
"""

from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-3
"""Smallest deviation of a component, in units of the deviation of all values: no single value may
become a component of its own."""


@dataclass(frozen=True)
class TwoGaussians:
    """Weights, means and deviations, (2,) each; the lower mean is first."""

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    def densities(self, x: np.ndarray) -> np.ndarray:
        """Return w_c N(x; μ_c, σ_c²) of both components c at the points x (N,): (2, N)."""
        z = (x - self.means[:, None]) / self.deviations[:, None]
        heights = self.weights / (self.deviations * np.sqrt(2 * np.pi))
        return heights[:, None] * np.exp(-0.5 * z * z)

    def crossings(self) -> list[float]:
        """Return the points strictly between the means where both densities are equal, sorted.

        They solve ln(w_0/σ_0) − (x−μ_0)²/2σ_0² = ln(w_1/σ_1) − (x−μ_1)²/2σ_1², of degree 2 in x.
        """
        (w, v), (m, n), (s, t) = self.weights, self.means, self.deviations
        if min(w, v) <= 0:
            return []
        square = 0.5 / t**2 - 0.5 / s**2
        line = m / s**2 - n / t**2
        rest = 0.5 * (n / t) ** 2 - 0.5 * (m / s) ** 2 + np.log(w / s) - np.log(v / t)
        roots = np.roots([square, line, rest])  # leading zeros are dropped
        real = roots[np.isreal(roots)].real
        return sorted(float(root) for root in real if m < root < n)


def fit(x: np.ndarray, iterations: int = 200, tolerance: float = 1e-7) -> TwoGaussians:
    """Fit two Gaussians to the values x (N,) by EM (Dempster, Laird & Rubin 1977).

    It begins with the lower and the upper half of the values, so equal values give an equal fit. It
    ends after ``iterations``, or when the mean log-likelihood rises by less than ``tolerance``.

    Raises:
        ValueError: there are fewer than 4 values, or a value is not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or len(x) < 4 or not np.isfinite(x).all():
        raise ValueError("two Gaussians need 4 finite values or more, (N,)")
    upper = (np.arange(len(x)) >= len(x) // 2)[np.argsort(np.argsort(x, kind="stable"))]
    belongs, before = np.stack([~upper, upper]).astype(np.float64), -np.inf
    floor = max(SMALLEST * x.std(), 1e-12)
    for _ in range(iterations):
        found = _maximise(x, belongs, floor)
        densities = found.densities(x)
        total = np.maximum(densities.sum(axis=0), 1e-300)
        belongs, likelihood = densities / total, np.log(total).mean()
        if likelihood - before < tolerance:
            break
        before = likelihood
    order = np.argsort(found.means, kind="stable")
    return TwoGaussians(found.weights[order], found.means[order], found.deviations[order])


def _maximise(x: np.ndarray, belongs: np.ndarray, floor: float) -> TwoGaussians:
    """Return the best components if value i belongs to component c by ``belongs`` (2, N)."""
    counts = np.maximum(belongs.sum(axis=1), 1e-300)
    means = belongs @ x / counts
    squares = (belongs * (x - means[:, None]) ** 2).sum(axis=1) / counts
    return TwoGaussians(counts / len(x), means, np.maximum(np.sqrt(squares), floor))
