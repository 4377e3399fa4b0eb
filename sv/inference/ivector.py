"""Unsupervised i-vectors: what speaker verification without labels could do before networks.

A mixture of C Gaussians with diagonal covariances Σ_c is the background model of all frames. Of an
utterance u with posteriors γ_t(c) of its frames x_t, whitened by the background model,

    N_c = Σ_t γ_t(c)     F_c = Σ_t γ_t(c) Σ_c^(-1/2) (x_t − μ_c)

The means of the utterance are those of the background plus T w, with w ~ N(0, I) of R dimensions.
The i-vector is the mean of the posterior of w (E step):

    L = I + Σ_c N_c T_c' T_c     w = L^(-1) Σ_c T_c' F_c     E[w w'] = L^(-1) + w w'

and T_c = (Σ_u F_c w') (Σ_u N_c E[w w'])^(-1) in the M step. Source: Dehak, Kenny, Dehak, Dumouchel
and Ouellet, "Front-end factor analysis for speaker verification", IEEE TASLP 2011. No labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sv.errors import InputError

LEAST = 1e-3
"""Smallest variance of a Gaussian, relative to that of all frames."""
BLOCK = 256  # utterances at a time


@dataclass
class Background:
    """A mixture of Gaussians: ``weights`` (C,), ``means`` (C, D) and ``variances`` (C, D)."""

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    def posteriors(self, frames: np.ndarray) -> np.ndarray:
        """Return γ (frames, C) of ``frames`` (frames, D); rows have the sum 1."""
        precision = 1 / self.variances
        constant = np.log(self.weights) + 0.5 * np.log(precision).sum(axis=1)
        constant = constant - 0.5 * (self.means**2 * precision).sum(axis=1)
        scores = frames @ (self.means * precision).T - 0.5 * (frames**2) @ precision.T + constant
        return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))

    def statistics(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return N (C,) and the whitened F (C, D) of the frames (frames, D) of an utterance."""
        posteriors = self.posteriors(frames)
        count = posteriors.sum(axis=0)
        first = posteriors.T @ frames - count[:, None] * self.means
        return count, first / np.sqrt(self.variances)


def fit_background(
    frames: np.ndarray, gaussians: int, rounds: int, rng: np.random.Generator
) -> Background:
    """Return the mixture after ``rounds`` of EM on ``frames`` (frames, D); rng draws its start.

    Raises:
        InputError: there are fewer frames than ten for each Gaussian.
    """
    if len(frames) < 10 * gaussians:
        raise InputError(
            f"{gaussians} Gaussians need at least {10 * gaussians:,} frames, and there are "
            f"{len(frames):,}: give more utterances or fewer --gaussians"
        )
    total = frames.var(axis=0)
    start = frames[rng.choice(len(frames), gaussians, replace=False)]
    model = Background(np.full(gaussians, 1 / gaussians), start, np.tile(total, (gaussians, 1)))
    for _ in range(rounds):
        posteriors = model.posteriors(frames)
        count = posteriors.sum(axis=0) + 1e-6
        means = posteriors.T @ frames / count[:, None]
        variances = posteriors.T @ frames**2 / count[:, None] - means**2
        model = Background(count / count.sum(), means, np.maximum(variances, LEAST * total))
    return model


def infer(
    loadings: np.ndarray, counts: np.ndarray, firsts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return w (U, R), L^(-1) (U, R, R) and what T adds to the log-likelihood (U,) of U utterances.

    ``loadings`` T (C, D, R), ``counts`` N (U, C), ``firsts`` F (U, C, D).
    """
    rank = loadings.shape[2]
    products = np.einsum("cdr,cds->crs", loadings, loadings, optimize=True).reshape(-1, rank**2)
    precisions = np.eye(rank) + (counts @ products).reshape(-1, rank, rank)
    right = firsts.reshape(len(firsts), -1) @ loadings.reshape(-1, rank)
    covariances = np.linalg.inv(precisions)
    means = np.einsum("urs,us->ur", covariances, right)
    gains = 0.5 * (right * means).sum(axis=1) - 0.5 * np.linalg.slogdet(precisions)[1]
    return means, covariances, gains


def fit_loadings(
    counts: np.ndarray,
    firsts: np.ndarray,
    rank: int,
    rounds: int,
    rng: np.random.Generator,
    note: Callable[[float], None] = lambda gain: None,
) -> np.ndarray:
    """Return T (C, D, R) after ``rounds`` of EM on N (U, C) and F (U, C, D) of U utterances.

    ``note`` is called in each round with the mean gain of log-likelihood, which never falls.
    """
    gaussians, dim = firsts.shape[1:]
    loadings = 0.1 * rng.standard_normal((gaussians, dim, rank))
    for _ in range(rounds):
        cross = np.zeros((gaussians * dim, rank))
        second = np.zeros((gaussians, rank * rank))
        gain = 0.0
        for start in range(0, len(counts), BLOCK):
            count, first = counts[start : start + BLOCK], firsts[start : start + BLOCK]
            means, covariances, gains = infer(loadings, count, first)
            gain += gains.sum() / len(counts)
            cross += first.reshape(len(first), -1).T @ means
            moments = covariances + means[:, :, None] * means[:, None]
            second += count.T @ moments.reshape(len(first), -1)
        note(gain)
        inverse = np.linalg.inv(second.reshape(gaussians, rank, rank) + 1e-6 * np.eye(rank))
        loadings = cross.reshape(gaussians, dim, rank) @ inverse
    return loadings


@dataclass
class IVectors:
    """A background model and loadings T (C, D, R)."""

    background: Background
    loadings: np.ndarray

    @classmethod
    def fit(
        cls,
        utterances: Sequence[np.ndarray],
        gaussians: int = 64,
        rank: int = 100,
        rounds: int = 6,
        seed: int = 0,
        most_frames: int = 200_000,
    ) -> "IVectors":
        """Learn from frames (frames, D) of each of the training ``utterances``.

        The background model learns from at most ``most_frames`` frames, drawn from all.
        """
        rng = np.random.default_rng(seed)
        frames = np.concatenate(utterances)
        if len(frames) > most_frames:
            frames = frames[np.sort(rng.choice(len(frames), most_frames, replace=False))]
        background = fit_background(frames, gaussians, 10, rng)
        counts, firsts = zip(*map(background.statistics, utterances), strict=True)
        loadings = fit_loadings(np.stack(counts), np.stack(firsts), rank, rounds, rng)
        return cls(background, loadings)

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Return the i-vector (R,) float32 of an utterance's frames (frames, D)."""
        count, first = self.background.statistics(frames)
        return infer(self.loadings, count[None], first[None])[0][0].astype(np.float32)
