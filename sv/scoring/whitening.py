"""Whitening: equal variance in all directions of the embeddings of a training set, without labels.

With the mean m and the covariance S = V diag(l) V' of a training set of dimension d, shrunk to
(1 - a) S + a tr(S)/d I, the eigenvalues are k = (1 - a) l + a mean(l), and x becomes (x - m) W:

- pca: W = V diag(k)^(-1/2), the directions of largest variance first; ``dim`` keeps the first ones,
- zca: W = V diag(k)^(-1/2) V', the whitening that moves the vectors least.

Source: Kessy, Lewin and Strimmer, "Optimal whitening and decorrelation", The American Statistician
2018; shrinkage as in Ledoit and Wolf, J. of Multivariate Analysis 2004, with a given weight a.
Cosines after pca and zca are equal if all dimensions are kept, because V is a rotation. With a = 1
whitening only subtracts the mean.
"""

from typing import Literal, get_args

import numpy as np

from sv.errors import InputError
from sv.scoring.backend import Backend
from sv.scoring.cosine import Cosine
from sv.scoring.pairs import Prepared, check_dimension
from sv.scoring.plda import project

Kind = Literal["pca", "zca"]
BLOCK = 1 << 16
SINGULAR = 1e-10
"""A smaller eigenvalue, relative to the largest one, is rounding and not a variance."""


class Whitening(Backend):
    """Whitening as in the module. Learned, float64: ``mean_`` (d,) and ``projection_`` (d, k)."""

    def __init__(self, kind: Kind = "zca", shrinkage: float = 0.1, dim: int = 0):
        self.kind = kind
        self.shrinkage = shrinkage
        self.dim = dim

    @property
    def only_centres(self) -> bool:
        """Whether cosines are those of centred vectors, because all variances count as equal."""
        return self.shrinkage == 1.0 and not self.dim

    def fit(self, vectors: np.ndarray) -> "Whitening":
        """Learn from ``vectors`` (n, d), a training set, never the test set.

        Raises ``InputError`` if the settings do not fit the vectors, or if a direction that is kept
        has no variance.
        """
        self._check(vectors)
        mean, covariance = _moments(vectors)
        values, basis = np.linalg.eigh(covariance)
        values, basis = values[::-1].clip(min=0.0), basis[:, ::-1]
        values = (1.0 - self.shrinkage) * values + self.shrinkage * values.mean()
        kept = self.dim or len(values)
        if not values[kept - 1] > SINGULAR * values[0]:
            raise InputError(
                f"whitening: the {len(vectors):,} training embeddings have variance in fewer than "
                f"{kept} directions; give more utterances, or a larger --whiten-shrinkage"
            )
        scaled = basis[:, :kept] / np.sqrt(values[:kept])
        self.mean_ = mean
        self.projection_ = np.ascontiguousarray(scaled if self.kind == "pca" else scaled @ basis.T)
        return self

    def _check(self, vectors: np.ndarray) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"whitening {self.kind!r} is unknown: {', '.join(get_args(Kind))}")
        if not 0.0 <= self.shrinkage <= 1.0:
            raise InputError(f"--whiten-shrinkage is a weight from 0 to 1, not {self.shrinkage}")
        if vectors.ndim != 2 or len(vectors) < 2 or not np.isfinite(vectors).all():
            raise InputError(
                f"whitening needs at least 2 finite training embeddings, one for each utterance; "
                f"these are of shape {vectors.shape}: embed the training set again"
            )
        if self.dim and (self.kind == "zca" or not 0 < self.dim <= vectors.shape[1]):
            raise InputError(
                f"--whiten-dim {self.dim}: pca keeps 1 to {vectors.shape[1]} dimensions of these "
                "embeddings, and zca keeps all of them; give --whiten-kind pca or no --whiten-dim"
            )

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Map ``vectors`` (..., d) to (..., k) float32."""
        rows = vectors.reshape(-1, vectors.shape[-1])
        whitened = project(rows, self.mean_, self.projection_).astype(np.float32)
        return whitened.reshape(*vectors.shape[:-1], -1)


def _moments(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and covariance (d, d) of ``vectors`` (n, d), float64, block by block."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((len(mean), len(mean)))
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK] - mean
        scatter += rows.T @ rows
    return mean, scatter / len(vectors)


class WhitenedCosine(Cosine):
    """The cosine of whitened embeddings, or the mean cosine of whitened crops."""

    def __init__(self, whitening: Whitening):
        super().__init__(center=False)
        self.whitening = whitening

    def prepare(self, ids: list[str], vectors: np.ndarray) -> Prepared:
        """Return rows of length one whose inner products are the scores."""
        check_dimension(vectors.reshape(-1, vectors.shape[-1]), self.whitening.mean_)
        return super().prepare(ids, self.whitening.transform(vectors))
