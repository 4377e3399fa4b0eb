"""Embeddings in bfloat16, if they agree with those in float32."""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.device import Precision, autocast_dtype
from sv.inference.embedder import Embedder

PARITY = 1e-3
"""Largest 1 − cosine between the embeddings of an utterance in bfloat16 and in float32."""


def choose_precision(
    embedder: Embedder,
    precision: Precision,
    device: torch.device,
    sample: Callable[[], tuple[Tensor, Tensor | None]],
) -> None:
    """Let ``embedder`` compute in bfloat16 if that is asked for and agrees on a sample.

    ``sample`` returns features (n, frames, mel) and lengths (n,) on ``device``; it is not called if
    float32 is asked for. If the largest 1 − cosine exceeds ``PARITY``, the embedder stays in
    float32, and a note says so.
    """
    embedder.dtype = None
    dtype = autocast_dtype(precision, device)
    if dtype is None:
        return
    features, lengths = sample()
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
