"""The two-covariance model: maximum likelihood by EM.

Speaker s has a centre y_s ~ N(mean, B); its utterances are x ~ N(y_s, W). The source is Bruemmer
and de Villiers, "The speaker partitioning problem", Odyssey 2010. The model is PLDA (Ioffe 2006)
with full rank.

Every step works in the basis V in which V'WV = I and V'BV = diag(psi) (simultaneous
diagonalisation). Let a centre have n utterances whose deviations from the mean sum to f. In this
basis, the posterior of the centre has variance psi/(1 + n psi) and mean psi/(1 + n psi) f in each
dimension. So no matrix has to be inverted for a speaker.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, eigh
from scipy.sparse import csr_matrix

from sv.errors import InputError

BLOCK = 1 << 16


class TwoCovariance(NamedTuple):
    """The model, float64: ``mean`` (dim,), ``between`` B and ``within`` W, both (dim, dim).

    ``log_likelihoods``: per utterance, before each iteration. They never fall.
    """

    mean: np.ndarray
    between: np.ndarray
    within: np.ndarray
    log_likelihoods: list[float]


class Groups(NamedTuple):
    """Statistics of labelled vectors after subtracting their common ``mean`` (dim,).

    ``counts``: (speakers,). ``sums``: (speakers, dim). ``scatter``: (dim, dim), the sum of x x'.
    """

    mean: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray

    @property
    def within(self) -> np.ndarray:
        """Covariance (dim, dim) around the mean of each speaker, unbiased."""
        means_part = (self.sums / self.counts[:, None]).T @ self.sums
        return (self.scatter - means_part) / (self.counts.sum() - len(self.counts))

    @property
    def between(self) -> np.ndarray:
        """Covariance (dim, dim) of the means of the speakers, each weighted by its utterances."""
        return (self.sums / self.counts[:, None]).T @ self.sums / self.counts.sum()


def group(vectors: np.ndarray, labels: np.ndarray) -> Groups:
    """Gather statistics of ``vectors`` (n, dim) by ``labels`` (n,), in float64.

    Raises ``InputError`` for fewer than two speakers, or if every speaker has one utterance.
    """
    _, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2 or len(vectors) == len(counts):
        raise InputError(
            f"{len(vectors)} embeddings of {len(counts)} speakers or clusters: at least two are "
            "needed, and some of them with two utterances or more; check the labels"
        )
    mean = vectors.mean(axis=0, dtype=np.float64)
    dim = len(mean)
    sums, scatter = np.zeros((len(counts), dim)), np.zeros((dim, dim))
    # In blocks, because a million embeddings in float64 with a centred copy would be 9 GB.
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        centred = vectors[block] - mean
        sums += group_sums(centred, rows[block], len(counts))
        scatter += centred.T @ centred
    return Groups(mean, counts, sums, scatter)


def group_sums(vectors: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return the sum of the vectors of each group, (count, dim), of the type of ``vectors``.

    ``vectors``: (n, dim). ``rows``: (n,), the group of each vector. A sparse product needs neither
    a loop nor a sorted copy.
    """
    ones = np.ones(len(rows), dtype=vectors.dtype)
    return csr_matrix((ones, (rows, np.arange(len(rows)))), shape=(count, len(rows))) @ vectors


def diagonalise(between: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return V (dim, dim) and psi (dim,), descending, with V'WV = I and V'BV = diag(psi).

    Raises ``InputError`` if ``within`` W is singular.
    """
    try:
        psi, basis = eigh(between, within)
    except LinAlgError:
        raise InputError(
            f"the covariance within speakers is singular in {len(within)} dimensions; give more "
            "utterances, or reduce the dimension (LDA) further"
        ) from None
    return basis[:, ::-1], np.maximum(psi[::-1], 0.0)


def fit_two_covariance(groups: Groups, iterations: int = 20) -> TwoCovariance:
    """Return the model after ``iterations`` of EM, started from the moments."""
    counts, sums = groups.counts.astype(np.float64)[:, None], groups.sums
    total, speakers = counts.sum(), len(counts)
    mean, between, within = np.zeros(sums.shape[1]), groups.between, groups.within
    history = []
    for _ in range(iterations):
        basis, psi = diagonalise(between, within)
        back = basis.T @ within  # the inverse of the basis
        deviations = (sums - counts * mean) @ basis
        scatter = basis.T @ (groups.scatter + total * np.outer(mean, mean)) @ basis
        variance = psi / (1.0 + counts * psi)
        centres = variance * deviations
        history.append(_log_likelihood(counts, psi, deviations, scatter, basis) / total)

        shift = centres.mean(axis=0)
        spread = centres.T @ centres + np.diag(variance.sum(axis=0))
        cross = deviations.T @ centres
        rest = (counts * centres).T @ centres + np.diag((counts * variance).sum(axis=0))
        between = back.T @ (spread / speakers - np.outer(shift, shift)) @ back
        within = back.T @ ((scatter - cross - cross.T + rest) / total) @ back
        mean = mean + shift @ back
    return TwoCovariance(groups.mean + mean, between, within, history)


def _log_likelihood(counts, psi, deviations, scatter, basis) -> float:
    """Return the log density of all vectors; the centres are integrated out."""
    total, dim = counts.sum(), len(psi)
    explained = (psi / (1.0 + counts * psi) * deviations**2).sum()
    volume = np.log1p(counts * psi).sum() + total * dim * np.log(2.0 * np.pi)
    log_det = np.linalg.slogdet(basis)[1]
    return float(total * log_det - 0.5 * (volume + np.trace(scatter) - explained))
