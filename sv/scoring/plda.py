"""LDA and PLDA: compare the variation between speakers with the variation within them.

The steps are Kaldi's for x-vectors: subtract the mean, LDA, rows of equal length (Garcia-Romero
and Espy-Wilson, Interspeech 2011), two-covariance model. The labels are true speakers or the
clusters of stage 4; the model records which of the two.
"""

from typing import Literal

import numpy as np

from sv.errors import InputError
from sv.scoring.backend import Backend
from sv.scoring.pairs import Prepared, check_dimension, shown
from sv.scoring.two_covariance import BLOCK, diagonalise, fit_two_covariance, group

LabelKind = Literal["speakers", "clusters"]


def project(vectors: np.ndarray, mean: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Return (``vectors`` (n, d) - ``mean`` (d,)) @ ``projection`` (d, k): (n, k) float64."""
    check_dimension(vectors, mean)
    rows = np.empty((len(vectors), projection.shape[1]))
    for start in range(0, len(vectors), BLOCK):  # blocks avoid a float64 copy of all vectors
        block = slice(start, start + BLOCK)
        rows[block] = (vectors[block] - mean) @ projection
    return rows


class LDA(Backend):
    """Linear discriminant analysis: the ``dim`` directions that separate speakers best.

    They have the largest variance between speakers relative to that within speakers. Learned:
    ``mean_`` (d,) and ``projection_`` (d, dim). After projection, the covariance within speakers
    is the identity.
    """

    def __init__(self, dim: int = 150):
        self.dim = dim

    def fit(self, vectors: np.ndarray, labels: np.ndarray) -> "LDA":
        """Learn from ``vectors`` (n, d) and ``labels`` (n,).

        Raises ``InputError`` if ``dim`` is too large for the vectors or the number of speakers.
        """
        groups = group(vectors, labels)
        limit = min(vectors.shape[1], len(groups.counts) - 1)
        if not 1 <= self.dim <= limit:
            raise InputError(
                f"LDA to {self.dim} dimensions: {vectors.shape[1]} dimensions and "
                f"{len(groups.counts)} speakers or clusters allow 1 to {limit}; choose --lda-dim"
            )
        basis, _ = diagonalise(groups.between, groups.within)
        self.mean_, self.projection_ = groups.mean, np.ascontiguousarray(basis[:, : self.dim])
        return self

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Map ``vectors`` (n, d) to (n, dim) float64."""
        return project(vectors, self.mean_, self.projection_)


class PLDA(Backend):
    """LDA, length normalisation and the two-covariance model; scores are log-likelihood ratios.

    Learned, float64: ``mean_`` (d,) and ``projection_`` (d, k) of the LDA; ``center_`` (k,),
    ``basis_`` (k, k) and ``psi_`` (k,), the diagonalised model; ``labels_``, the kind of the
    labels; ``log_likelihoods_``, one for each iteration.
    """

    def __init__(self, lda_dim: int = 150, iterations: int = 20):
        self.lda_dim = lda_dim
        self.iterations = iterations

    def fit(
        self, vectors: np.ndarray, labels: np.ndarray, label_kind: LabelKind = "speakers"
    ) -> "PLDA":
        """Learn from ``vectors`` (n, d) and ``labels`` (n,); ``label_kind`` is recorded."""
        lda = LDA(self.lda_dim).fit(vectors, labels)
        self.mean_, self.projection_ = lda.mean_, lda.projection_
        model = fit_two_covariance(group(self._project(vectors), labels), self.iterations)
        self.center_ = model.mean
        basis, self.psi_ = diagonalise(model.between, model.within)
        self.basis_ = np.ascontiguousarray(basis)
        self.log_likelihoods_, self.labels_ = model.log_likelihoods, label_kind
        return self

    def _project(self, vectors: np.ndarray, ids: list[str] | None = None) -> np.ndarray:
        rows = project(vectors, self.mean_, self.projection_)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(bad):
            names = (ids[i] if ids else f"row {i}" for i in bad)
            raise InputError(
                f"{len(bad)} of {len(rows)} embeddings are at the mean, infinite or NaN: "
                f"{shown(names, 5)}; look at their audio, and at the model if there are many"
            )
        rows *= np.sqrt(rows.shape[1]) / lengths
        return rows

    def transform(self, vectors: np.ndarray, ids: list[str] | None = None) -> np.ndarray:
        """Map ``vectors`` (n, d) to (n, k) float64.

        There the covariance within speakers is the identity, and that between speakers is
        diag(``psi_``).
        """
        return (self._project(vectors, ids) - self.center_) @ self.basis_

    def prepare(self, ids: list[str], vectors: np.ndarray) -> Prepared:
        """Return rows and biases that give the log-likelihood ratio of two utterances.

        With z = ``transform``, the ratio is a sum over dimensions of psi/(2 psi+1) z z' -
        (z^2 + z'^2)/2 psi^2/((2 psi+1) (psi+1)) + ln(psi+1) - ln(2 psi+1)/2. It follows from the
        Gaussian densities of the pair with one centre and with two centres. The logarithm is
        natural.
        """
        z, psi = self.transform(vectors, ids), self.psi_
        constant = np.sum(np.log1p(psi) - 0.5 * np.log1p(2.0 * psi))
        bias = 0.5 * (constant - z**2 @ (psi**2 / ((2.0 * psi + 1.0) * (psi + 1.0))))
        rows = z * np.sqrt(psi / (2.0 * psi + 1.0))
        return Prepared(rows.astype(np.float32), bias.astype(np.float32))
