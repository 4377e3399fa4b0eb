"""Training steps of encoders with each choice of kernels: precision, compilation, memory layout.

    python -m benchmarks.run kernels                               # ECAPA and Fast ResNet-34, CPU
    python -m benchmarks.kernels --encoders ecapa --batch 256 --device cuda

A step is forward, backward and update on crops of 2 s. The contestants are networks in one process,
whose steps take turns, so set the allocator as `path.sh` does. The first two steps of each, which
compile, do not count. On a CPU the clock is the processor time of one thread; compilation takes
minutes of it. On a GPU it is the time until the device is done.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.harness import Table, compare
from sv.device import autocast, choose_device
from sv.encoders import ENCODERS, build_encoder
from sv.training.kernels import KernelConfig, Kernels
from sv.training.optim import OptimConfig, build_optimizer

FRAMES, MEL_BINS = 200, 80
SHOWN = ("ecapa", "fast_resnet34")
BASE = "float32"


@dataclass(frozen=True)
class Variant:
    """One contestant: the type that autocast computes in, and settings of `KernelConfig`."""

    bfloat16: bool = True
    compile: bool | str = False
    exact: bool = True
    memory_format: str = "auto"


ON_CPU = {
    BASE: Variant(bfloat16=False),
    "bfloat16": Variant(),
    "bfloat16 contiguous": Variant(memory_format="contiguous"),
    "bfloat16 channels-last": Variant(memory_format="channels_last"),
    "bfloat16 compiled": Variant(compile=True),
}
ON_GPU = {
    BASE: Variant(bfloat16=False, exact=False),
    "bfloat16, exact": Variant(),
    "bfloat16": Variant(exact=False),
    "bfloat16 contiguous": Variant(exact=False, memory_format="contiguous"),
    "bfloat16 channels-last": Variant(exact=False, memory_format="channels_last"),
    "bfloat16 compiled": Variant(exact=False, compile=True),
    "bfloat16 compiled, CUDA graphs": Variant(exact=False, compile="graphs"),
}
UPDATES = {"one by one": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def benchmark(quick: bool) -> list[Table]:
    """2 s crops, forward + backward + update: float32, bfloat16, memory layouts, compiled."""
    device = torch.device("cpu")
    if quick:
        return [steps("fast_resnet34", 2, device, 2, list(ON_CPU)[:2])]
    tables = [steps(name, 8, device, 15) for name in SHOWN]
    return [*tables, *(updates(name, device, 15) for name in SHOWN)]


def steps(
    name: str, batch: int, device: torch.device, rounds: int, labels: list[str] | None = None
) -> Table:
    """Compare training steps of the encoder ``name``; ``labels``: only these variants."""
    torch.set_num_threads(1)
    variants = ON_GPU if device.type == "cuda" else ON_CPU
    return compare(
        f"{name}, {batch} crops of 2 s, forward + backward + Adam, {device.type}",
        {label: training(name, variants[label], batch, device) for label in labels or variants},
        base=BASE,
        items=batch,
        unit="crop",
        rounds=rounds,
        warmup=2,
        clock=time.process_time if device.type == "cpu" else time.perf_counter,
    )


def training(name: str, variant: Variant, batch: int, device: torch.device) -> Callable[[], None]:
    """Return a call that does one step of training with the kernels of ``variant``."""
    torch.manual_seed(0)
    method = torch.nn.ModuleDict({"encoder": encoder_of(name)}).train().to(device)
    config = KernelConfig(variant.compile, variant.exact, variant.memory_format)
    kernels = Kernels.choose(config, device)
    kernels.prepare(method)
    optimizer = build_optimizer(OptimConfig(), method)
    features = torch.randn(batch, FRAMES, MEL_BINS, device=device)

    def step() -> None:
        kernels.tell_torch()  # another contestant had its own choice
        with autocast(device, torch.bfloat16 if variant.bfloat16 else None):
            embeddings = method["encoder"](features)
        embeddings.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def updates(name: str, device: torch.device, rounds: int) -> Table:
    """Compare Adam's updates of all weights of the encoder ``name``, without forward, backward."""

    def update(kernels: dict[str, bool]) -> Iterator[None]:
        weights = list(encoder_of(name).to(device).parameters())
        optimizer = torch.optim.Adam(weights, **kernels)
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        while True:
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            yield

    running = {label: update(kernels) for label, kernels in UPDATES.items()}
    return compare(
        f"{name}, Adam alone, {device.type}",
        {label: lambda turns=turns: next(turns) for label, turns in running.items()},
        base="one by one",
        items=1,
        unit="update",
        rounds=rounds,
        warmup=2,
        clock=time.process_time if device.type == "cpu" else time.perf_counter,
    )


def encoder_of(name: str) -> torch.nn.Module:
    """Return the encoder ``name`` with its default settings."""
    return build_encoder(ENCODERS[name][1](mel_bins=MEL_BINS))


def main() -> None:
    """Print the tables of the encoders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", choices=list(ENCODERS), default=list(SHOWN))
    parser.add_argument("--batch", type=int, default=8, help="crops in a step")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--rounds", type=int, default=15, help="measured steps of each contestant")
    parser.add_argument("--only", nargs="+", metavar="LABEL", help="these variants and float32")
    options = parser.parse_args()
    device = choose_device(options.device)
    for name in options.encoders:
        labels = options.only and [BASE, *options.only]
        print(steps(name, options.batch, device, options.rounds, labels), flush=True)
        print(updates(name, device, options.rounds), flush=True)


if __name__ == "__main__":
    main()
