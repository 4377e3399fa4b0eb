"""What losses of pairs ask of their inputs: one shape, and float32 or better."""

import torch
from torch import Tensor


def check_pairs(one: Tensor, two: Tensor, names: str = "z1 and z2") -> None:
    """Raise ``ValueError`` unless both are (N, D); ``names``: of the two in the message."""
    if one.shape != two.shape or one.ndim != 2:
        raise ValueError(f"{names} must both be (N, D), not {(*one.shape,)} and {(*two.shape,)}")


def at_least_float32(*tensors: Tensor) -> list[Tensor]:
    """Return the tensors in the type of the first, or in float32 if that type is shorter."""
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    return [tensor.to(dtype) for tensor in tensors]
