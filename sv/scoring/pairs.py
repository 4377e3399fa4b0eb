"""Scores of the form "inner product of two rows plus a number for each row", block by block.

The cosine and the log-likelihood ratio of PLDA both have this form. So code that computes many
scores (of trial lists, of cohorts) is written once, here and in ``score_norm``.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from sv.data.trials import Trials
from sv.errors import InputError

# Two gathered blocks of 2,048 x 512 float32 are 8 MB, so they stay in the cache.
BLOCK = 2048

Embeddings = tuple[list[str], np.ndarray]
"""Ids and vectors (n, dim) float32, or those of crops (n, crops, dim), as
``sv.kaldi.arks.load_embeddings`` returns them."""


class Prepared(NamedTuple):
    """Embeddings that are ready to compare: score(x, y) = <rows[x], rows[y]> + bias[x] + bias[y].

    ``rows`` (n, k) float32; ``bias`` (n,) float32, or None for zeros.
    """

    rows: np.ndarray
    bias: np.ndarray | None = None


class PairBackend(Protocol):
    """A back-end that compares two embeddings, such as ``Cosine`` and ``PLDA``."""

    def prepare(self, ids: list[str], vectors: np.ndarray) -> Prepared:
        """Prepare ``vectors`` (n, dim) for comparison; ``ids`` are for messages.

        ``vectors`` may be overwritten, because copying a hundred thousand of them would take as
        long as all the arithmetic.
        """


class Sides(NamedTuple):
    """Both sides of the trials: prepared embeddings, and the rows (trials,) of each trial.

    ``enrol`` and ``test`` are the same object if both sides come from one set.
    """

    enrol: Prepared
    test: Prepared
    enrol_rows: np.ndarray
    test_rows: np.ndarray


def inner_products(
    enrol: np.ndarray, test: np.ndarray, enrol_rows: np.ndarray, test_rows: np.ndarray
) -> np.ndarray:
    """Return inner products (pairs,) of ``enrol[enrol_rows]`` and ``test[test_rows]``, float32."""
    scores = np.empty(len(enrol_rows), dtype=np.float32)
    left = np.empty((min(BLOCK, len(scores)), enrol.shape[1]), dtype=np.float32)
    right = np.empty_like(left)
    for start in range(0, len(scores), BLOCK):
        block = slice(start, start + BLOCK)
        size = len(scores[block])
        # With mode="clip", take writes directly into its output; "raise" would make a copy first.
        np.take(enrol, enrol_rows[block], axis=0, out=left[:size], mode="clip")
        np.take(test, test_rows[block], axis=0, out=right[:size], mode="clip")
        np.einsum("ij,ij->i", left[:size], right[:size], out=scores[block])
    return scores


def score_sides(sides: Sides) -> np.ndarray:
    """Return the score (trials,) float32 of each trial."""
    enrol, test, enrol_rows, test_rows = sides
    scores = inner_products(enrol.rows, test.rows, enrol_rows, test_rows)
    if enrol.bias is not None:
        scores += enrol.bias[enrol_rows]
        scores += test.bias[test_rows]
    return scores


def score_matrix(left: Prepared, right: Prepared, out: np.ndarray | None = None) -> np.ndarray:
    """Return the scores (n, m) float32 of every row of ``left`` with every row of ``right``."""
    scores = np.matmul(left.rows, right.rows.T, out=out)
    if left.bias is not None:
        scores += left.bias[:, None]
        scores += right.bias
    return scores


def prepare_sides(
    trials: Trials,
    backend: PairBackend,
    embeddings: Embeddings,
    enrol_embeddings: Embeddings | None = None,
    sources: tuple[str, str] = ("the embeddings", "the enrolment embeddings"),
) -> Sides:
    """Prepare only those embeddings that the trials use; a broken unused embedding is no error.

    Without ``enrol_embeddings``, both sides come from ``embeddings``. ``sources``: names of the two
    sets in messages. Raises ``InputError`` for utterances without embedding.
    """
    if enrol_embeddings is None:
        rows = trials.rows_of(embeddings[0], sources[0])
        both = _prepare(backend, embeddings, rows)
        return Sides(both, both, trials.enrol, trials.test)
    dims = embeddings[1].shape[-1], enrol_embeddings[1].shape[-1]
    if dims[0] != dims[1]:
        raise InputError(
            f"{sources[0]} have {dims[0]} dimensions and {sources[1]} {dims[1]}; both must come "
            "from the same model"
        )
    test_rows = trials.rows_of(embeddings[0], sources[0], side="test")[trials.test]
    enrol_rows = trials.rows_of(enrol_embeddings[0], sources[1], side="enrol")[trials.enrol]
    test_used, test_rows = np.unique(test_rows, return_inverse=True)
    enrol_used, enrol_rows = np.unique(enrol_rows, return_inverse=True)
    return Sides(
        _prepare(backend, enrol_embeddings, enrol_used),
        _prepare(backend, embeddings, test_used),
        enrol_rows,
        test_rows,
    )


def _prepare(backend: PairBackend, embeddings: Embeddings, rows: np.ndarray) -> Prepared:
    ids, vectors = embeddings
    return backend.prepare([ids[row] for row in rows.tolist()], vectors[rows])


def check_dimension(vectors: np.ndarray, mean: np.ndarray) -> None:
    """Raise ``InputError`` unless ``vectors`` (n, dim) fit ``mean`` (dim,)."""
    if mean.shape != vectors.shape[1:]:
        raise InputError(
            f"the embeddings have {vectors.shape[1]} dimensions but the mean has "
            f"{len(mean)}; both sets must come from the same model"
        )


def shown(names: Iterable[str], limit: int) -> str:
    """Return the first ``limit`` names as text, with an ellipsis if there are more."""
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
