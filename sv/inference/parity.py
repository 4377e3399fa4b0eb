"""Embeddings in bfloat16, if they agree with those in float32."""

import sys

import torch.nn.functional as F
from torch import Tensor

from sv.device import Precision, autocast_dtype
from sv.inference.embedder import Embedder

PARITY = 1e-3
"""Largest 1 − cosine between the embeddings of an utterance in bfloat16 and in float32."""


def choose_precision(
    embedder: Embedder, precision: Precision, features: Tensor, lengths: Tensor | None
) -> None:
    """Let ``embedder`` compute in bfloat16 if that is asked for and agrees on a sample.

    The sample is ``features`` (n, frames, mel) with ``lengths`` (n,), on the device. If the largest
    1 − cosine exceeds ``PARITY``, the embedder stays in float32, and a note says so.
    """
    embedder.dtype = None
    dtype = autocast_dtype(precision, features.device)
    if dtype is None:
        return
    exact = embedder(features, lengths)
    embedder.dtype = dtype
    apart = 1 - F.cosine_similarity(exact.double(), embedder(features, lengths).double())
    if not float(apart.max()) <= PARITY:
        embedder.dtype = None
        print(
            "note: embeddings in bfloat16 differ from those in float32 by "
            f"{float(apart.max()):.1e} (1 - cosine), more than {PARITY:g}: this model is computed "
            "in float32",
            file=sys.stderr,
        )
