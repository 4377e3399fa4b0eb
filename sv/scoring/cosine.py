"""Cosine scores of a trial list, with optional centring."""

import numpy as np

from sv.data.trials import Trials
from sv.errors import InputError
from sv.scoring.backend import Backend
from sv.scoring.pairs import (
    Embeddings,
    Prepared,
    check_dimension,
    prepare_sides,
    score_sides,
    shown,
)

SHOWN = 5


def unit_rows(ids: list[str], vectors: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """Return ``vectors`` (n, dim) float32 with rows of length one; ``mean`` is subtracted first.

    Raises ``InputError`` that names the ids whose vector is zero, infinite or NaN.
    """
    return _to_unit_rows(ids, np.array(vectors, dtype=np.float32), mean)


def _to_unit_rows(ids: list[str], vectors: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """Do the work of ``unit_rows`` in place: ``vectors`` (float32) are overwritten."""
    if mean is not None:
        check_dimension(vectors, mean)
        vectors -= mean
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(ids)} embeddings are zero, infinite or NaN: "
            f"{shown((ids[i] for i in bad), SHOWN)}; look at their audio (silence?), and at the "
            "model if there are many"
        )
    vectors /= lengths[:, None]
    return vectors


def _means_of_crops(ids: list[str], vectors: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """Return the mean (n, dim) of the unit rows of each utterance's crops (n, crops, dim).

    The inner product of two such means is the mean cosine over all pairs of a crop of one utterance
    and a crop of the other.
    """
    count, crops, dim = vectors.shape
    names = [f"crop {crop} of {name}" for name in ids for crop in range(1, crops + 1)]
    rows = _to_unit_rows(names, vectors.reshape(-1, dim), mean)
    return rows.reshape(count, crops, dim).mean(axis=1)


class Cosine(Backend):
    """The cosine of two embeddings, or the mean of all cosines of their crops.

    With ``center``, the mean of a training set is subtracted first; ``fit`` computes it and needs
    no labels. Learned: ``mean_`` (dim,) float32, or None without ``center``.
    """

    mean_: np.ndarray | None = None

    def __init__(self, center: bool = False):
        self.center = center

    def fit(self, vectors: np.ndarray) -> "Cosine":
        """Compute the mean of ``vectors`` (n, dim), a training set, never the test set."""
        # In float64, because a float32 sum over a million vectors would lose precision.
        vectors = vectors.reshape(-1, vectors.shape[-1])  # vectors may be of crops
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.mean_ = mean if self.center else None
        return self

    def transform(self, vectors: np.ndarray, ids: list[str] | None = None) -> np.ndarray:
        """Return rows (n, dim) float32 of length one; their inner products are the scores."""
        ids = ids if ids is not None else [f"row {n}" for n in range(len(vectors))]
        return unit_rows(ids, vectors, self.mean_)

    def prepare(self, ids: list[str], vectors: np.ndarray) -> Prepared:
        """Like ``transform``, but in place, and in the form that ``sv.scoring.pairs`` scores."""
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim == 2:
            return Prepared(_to_unit_rows(ids, vectors, self.mean_))
        return Prepared(_means_of_crops(ids, vectors, self.mean_))


def score_trials(
    trials: Trials,
    embeddings: Embeddings,
    enrol_embeddings: Embeddings | None = None,
    mean: np.ndarray | None = None,
    sources: tuple[str, str] = ("the embeddings", "the enrolment embeddings"),
) -> np.ndarray:
    """Return the cosine (trials,) float32 of every trial.

    ``embeddings`` and ``enrol_embeddings``: (ids, array (n, dim)). Without ``enrol_embeddings``,
    both sides come from ``embeddings``. ``mean`` (dim,) is subtracted from every vector first.
    ``sources``: names of the two sets in messages. Raises ``InputError`` for utterances without
    embedding.
    """
    backend = Cosine(center=mean is not None)
    backend.mean_ = mean
    return score_sides(prepare_sides(trials, backend, embeddings, enrol_embeddings, sources))
