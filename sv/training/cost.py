"""What a step of training with a large front end takes, before the first step.

The network is run without data, on torch's "meta" device. What a crop would need is counted: bytes
that are kept for the gradients, and products. So the numbers are known before memory runs out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from sv.encoders import EncoderConfig, build_encoder
from sv.encoders.base import Encoder, shapes_only


class Cost(NamedTuple):
    """Of one crop: ``kept`` bytes for the gradients, ``flops`` of forward and backward pass.

    ``weights``: bytes of all weights with what training stores beside them.
    """

    kept: int
    flops: int
    weights: int


def cost_of_crop(config: EncoderConfig, samples: int, bytes_per_value: int = 4) -> Cost:
    """Return the cost of one crop of ``samples`` samples; activations have ``bytes_per_value``.

    Weights, gradients and Adam's two moments are float32, and so are the first weights of a front
    end that is pulled back to them.
    """
    with shapes_only():
        encoder = build_encoder(config).train()
        waveform = torch.zeros(2, samples)
    weights = {weight.untyped_storage()._cdata for weight in encoder.parameters()}
    kept = {}  # storage -> its bytes; several steps keep the same one

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            size = bytes_per_value / 4 if tensor.dtype == torch.float32 else 1
            kept[storage._cdata] = storage.nbytes() * size, storage  # alive, so no other has its id
        return tensor

    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = encoder(waveform).sum()
        loss.backward()
    total = sum(size for size, _ in kept.values())
    return Cost(int(total) // 2, counter.get_total_flops() // 2, _weights(encoder))


def _weights(encoder: Encoder) -> int:
    """Return the bytes of the weights and of all that training stores for each of them."""
    tuning = encoder.tuning()
    pulled = {id(w) for w in tuning.weights} if tuning is not None and tuning.pull else set()
    copies = ((4 if w.requires_grad else 1) + (id(w) in pulled) for w in encoder.parameters())
    return sum(4 * w.numel() * n for w, n in zip(encoder.parameters(), copies, strict=True))


def describe_cost(
    config: EncoderConfig, crops: Sequence[tuple[int, int]], bytes_per_value: int = 4
) -> str:
    """Return one sentence: memory and arithmetic of a step. crops: (number, samples of each)."""
    costs = [(number, cost_of_crop(config, length, bytes_per_value)) for number, length in crops]
    kept = sum(number * cost.kept for number, cost in costs)
    flops = sum(number * cost.flops for number, cost in costs)
    return (
        f"a step needs about {_size(kept)} for the activations of {sum(n for n, _ in crops):,} "
        f"crops, and {_size(costs[0][1].weights)} for weights, gradients and optimiser; it is "
        f"{flops / 1e12:.3g} TFLOP, which a device of 100 TFLOP/s does in {flops / 1e14:.2g} s"
    )


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
