"""Chooses the device and the arithmetic from the hardware and from checks of the results."""

import os
import platform
import resource
import sys
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from sv.errors import InputError
from sv.machine import gpus

Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; ``auto`` takes a GPU if there is one.

    If torch sees no GPU on a machine that has one, a note is printed once.

    Raises:
        InputError: the name is unknown, or torch does not see this GPU.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        tell_of_unseen_gpus()
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:1")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        if not torch.cuda.device_count():
            reason = gpus.explain(asked=True)
            raise InputError(f"device {name!r}: {reason}. Or compute on processors: --device cpu")
        raise InputError(
            f"device {name!r}: torch sees {torch.cuda.device_count()} GPUs here; use --device cpu"
        )
    return device


@lru_cache(maxsize=1)
def tell_of_unseen_gpus() -> None:
    """Print why torch sees no GPU, if this machine has one."""
    reason = gpus.explain(asked=False)
    if reason:
        print(f"note: {reason}. The program now computes on processors", file=sys.stderr)


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the type for autocast, or None for plain float32.

    ``auto`` takes bfloat16 if the hardware computes in it: GPUs since Ampere, processors with
    AVX512-BF16 or AMX. On other hardware bfloat16 is emulated, and slower than float32.
    """
    if precision == "float32":
        return None
    if precision == "bfloat16" or _has_bfloat16(device):
        return torch.bfloat16
    return None


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(flag in _cpuinfo() for flag in ("avx512_bf16", "amx_bf16"))


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Return a context that computes in ``dtype`` (see ``autocast_dtype``); None: no change."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def tune_float32_products() -> str:
    """Use oneDNN for float32 matrix products on AMD processors if it is exact enough.

    ``torch.set_float32_matmul_precision("medium")`` selects oneDNN's float32 kernels on AMD, which
    are twice as fast as MKL's. On Intel with AMX it selects products in truncated bfloat16. So
    products are compared with float64 before the setting is kept. Nothing is timed, so a training
    that resumes makes the same choice. Returns the setting.
    """
    torch.set_float32_matmul_precision("highest")
    if "AuthenticAMD" not in _cpuinfo():
        return "highest"
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 256, 256, generator=generator).unbind()
    exact = a.double() @ b.double()

    def error() -> float:
        return float(((a @ b).double() - exact).abs().max())

    strict = error()
    torch.set_float32_matmul_precision("medium")
    if error() > 4 * strict:
        torch.set_float32_matmul_precision("highest")
    return torch.get_float32_matmul_precision()


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def describe_hardware(device: torch.device) -> str:
    """Return the hardware for tables of results, such as ``2 × AMD EPYC`` or ``NVIDIA H100``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    models = [line for line in _cpuinfo().splitlines() if line.startswith("model name")]
    name = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{len(os.sched_getaffinity(0))} × {name}"


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process has used: of the GPU, or of main memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
