"""How fast the device multiplies matrices, and so the least time that a step can take."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.bench import Bench
from sv.training.trainer import Trainer

KINDS = {"float32": torch.float32, "bf16": torch.bfloat16}


def matrix_rates(bench: Bench) -> None:
    """Measure operations a second of square products, into ``bench.rates``.

    Convolutions in float32 compute in TF32 on a GPU, which is torch's default, so the rate of
    float32 is that of TF32 there.
    """
    size = bench.scale.matrix
    for name, dtype in KINDS.items():
        a, b = torch.randn(2, size, size, device=bench.device).to(dtype).unbind()
        allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        try:
            best = min(bench.compare({name: lambda a=a, b=b: a @ b})[name])
        finally:
            torch.backends.cuda.matmul.allow_tf32 = allowed
        bench.rates[name] = 2 * size**3 / best
        bench.add("matrix products", kind=name, size=size, tflops=bench.rates[name] / 1e12)


def operations(trainer: Trainer, batch) -> int:
    """Return the operations of matrix products and convolutions in one step."""
    with FlopCounterMode(display=False) as counter:
        trainer.train_step(batch)
    return counter.get_total_flops()
