"""Errors of exhausted memory: which memory has run out, and how much is free."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sv.errors import OutOfMemory

SIGNS = (
    "out of memory",  # CUDA
    "can't allocate memory",  # torch on processors
    "not enough memory",
    "Unable to allocate",  # NumPy
    "std::bad_alloc",
    "ALLOC_FAILED",  # cuBLAS, cuDNN
)
ON_A_GPU = ("CUDA", "CUBLAS", "CUDNN", "HIP")
_AMOUNT = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGTP]i?B)")


def ran_out(error: BaseException) -> str | None:
    """Return which memory has run out, in words; None if the error has another cause."""
    told = str(error)
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    if not isinstance(error, MemoryError) and not any(sign in told for sign in SIGNS):
        return None
    on_gpu = any(word in told for word in ON_A_GPU)
    which = "the GPU's memory has run out" if on_gpu else "the memory has run out"
    amount = _AMOUNT.search(told)
    if amount is None:
        return which
    number, unit = amount.groups()
    size = describe(int(number)) if unit == "bytes" and number.isdigit() else f"{number} {unit}"
    return f"{which} (it had no {size} more)"


def describe(size: float) -> str:
    """Return a number of bytes as text, in a suitable unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


@contextlib.contextmanager
def told_with(remedy: str, on_gpu: str | None = None) -> Iterator[None]:
    """If memory runs out in the block, raise an error with one sentence and the remedy.

    on_gpu: the remedy if the memory of a GPU has run out; None: the same.

    Raises
    ------
    OutOfMemory: replaces the error of torch, NumPy or Python.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        found = ran_out(error)
        if found is None:
            raise
        remedy = on_gpu if on_gpu is not None and "GPU" in found else remedy
    else:
        return
    raise OutOfMemory(f"{found}: {remedy}")


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that this process may still take, or None if that is unknown.

    The limits are the free memory of the machine, with swap, and those of containers and queues.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        free = fields["MemAvailable"] + fields.get("SwapFree", 0)
    except (OSError, ValueError, IndexError, KeyError):
        return None
    with contextlib.suppress(OSError):
        own = (proc / "self" / "cgroup").read_text().strip().rpartition("::")[2].strip("/")
        folder = groups / own
        for group in (folder, *folder.parents):
            if not group.is_relative_to(groups):
                break
            free = min(free, _left(group))
    return free


def _left(group: Path) -> float:
    """Return the bytes that the limit of a control group leaves; cached files count as free."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        pairs = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = sum(int(n) for name, n in pairs if name in ("inactive_file", "active_file"))
    except (OSError, ValueError):  # "max": no limit
        return float("inf")
    return limit - used + cached
