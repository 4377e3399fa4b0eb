"""Windows of arks of 16-bit values (CM2): a few are copied, then torch decodes them in the cache.

NumPy converts 16-bit integers at half the speed. The arithmetic is the same: a product and a sum in
float32, each rounded. So the bits are those of ``WindowReader.read``.
"""

import numpy as np

from sv.kaldi.windows import WindowReader

AT_ONCE = 8
"""Windows that are decoded together; they must fit the second-level cache with their codes."""


def read_decoded(
    reader: WindowReader,
    arks: np.ndarray,
    offsets: np.ndarray,
    starts: np.ndarray,
    length: int,
    out: np.ndarray,
    places: np.ndarray | None = None,
) -> None:
    """Do what ``reader.read`` does, for arks whose matrices are CM2, at least most of them."""
    import torch  # an index is without torch

    codes = np.empty((AT_ONCE, length, out.shape[2]), np.uint16)
    scales = np.empty((AT_ONCE, 2), np.float32)
    of_codes, of_scales, of_out = map(torch.from_numpy, (codes, scales, out))
    floats = None if places is None else torch.empty(codes.shape)
    for first in range(0, len(starts), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        where = (arks[part], offsets[part], starts[part])
        count = len(where[0])
        others = reader.read_codes(*where, length, codes[:count], scales[:count])
        values = of_out[part] if places is None else floats[:count]
        values.copy_(of_codes[:count])
        values.mul_(of_scales[:count, 0, None, None]).add_(of_scales[:count, 1, None, None])
        if others:
            few = [values_of[others] for values_of in where]
            reader.read(*few, length, values.numpy(), np.array(others))
        if places is not None:
            of_out[torch.from_numpy(places[part])] = values
