"""The clusters nearest to each cluster."""

import numpy as np
import torch

from sv.cluster.lloyd import fast_float32
from sv.errors import InputError

# With 25,000 clusters a block of 1,024 rows has 100 MB of float32 products; all rows have 2.5 GB.
BLOCK = 1024


def nearest_clusters(
    centroids: np.ndarray | torch.Tensor, m: int, *, spherical: bool = True
) -> np.ndarray | torch.Tensor:
    """Return the ids (k, m) int64 of the ``m`` other clusters that are most similar to each.

    The nearest comes first: by cosine, or by Euclidean distance if ``spherical`` is false.
    ``centroids``: (k, D), numpy or torch; the result is of the same kind, on the same device.

    Raises:
        InputError: m is not in 1..k-1.
    """
    count = len(centroids)
    if not 1 <= m < count:
        raise InputError(
            f"{m} nearest of {count} clusters: m must be between 1 and {count - 1}, the number of "
            "other clusters"
        )
    rows = torch.as_tensor(centroids).float()
    if spherical:
        rows = torch.nn.functional.normalize(rows)
        halves = None
    else:
        rows = rows - rows.mean(dim=0)  # smaller numbers have smaller rounding errors
        halves = rows.square().sum(dim=1) / 2
    ids = torch.empty(count, m, dtype=torch.int64, device=rows.device)
    with torch.no_grad(), fast_float32():
        for start in range(0, count, BLOCK):
            likeness = rows[start : start + BLOCK] @ rows.T
            if halves is not None:
                likeness -= halves
            here = torch.arange(len(likeness), device=rows.device)
            likeness[here, here + start] = -torch.inf
            ids[start : start + BLOCK] = likeness.topk(m, dim=1).indices
    return ids if torch.is_tensor(centroids) else ids.numpy()
