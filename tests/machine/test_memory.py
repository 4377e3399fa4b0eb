"""Memory that runs out: recognised, told with its remedy, and how much of it is free."""

import numpy as np
import pytest
import torch

from sv import cli
from sv.errors import OutOfMemory
from sv.machine import memory

CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of "
    "which 1.2 GiB is free."
)


def test_what_this_torch_and_this_numpy_raise_is_recognised():
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 50)
    assert memory.ran_out(of_torch.value) == "the memory has run out (it had no 4,503.6 TB more)"
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(1 << 50)
    assert memory.ran_out(of_numpy.value) == "the memory has run out (it had no 8.00 PiB more)"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (torch.OutOfMemoryError(CUDA), "the GPU's memory has run out (it had no 20.00 GiB more)"),
        (RuntimeError("CUDA error: out of memory"), "the GPU's memory has run out"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), "the GPU's memory has run out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), "the memory"),
        (MemoryError(), "the memory has run out"),
        (RuntimeError("shapes do not fit"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_kinds_of_errors(error, found):
    told = memory.ran_out(error)
    assert told is None if found is None else told.startswith(found)


def test_the_remedy_fits_the_memory():
    for error, remedy in ((torch.OutOfMemoryError(CUDA), "more GPUs"), (MemoryError(), "fewer")):
        told = memory.told_with("fewer", "more GPUs")
        with pytest.raises(OutOfMemory, match=f": {remedy}$"), told:
            raise error
    with pytest.raises(RuntimeError, match="^shapes$"), memory.told_with("fewer"):
        raise RuntimeError("shapes")


def test_any_program_says_it_in_one_line(capsys):
    def out(_):
        torch.empty(1 << 50)

    with pytest.raises(SystemExit) as ended:
        cli.run(out)
    told = capsys.readouterr().err
    assert ended.value.code == 1 and told.startswith("error: the memory has run out")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("limit", "free"), [("max", 6_144_000), ("5000000", 3_500_000), ("9000000000", 6_144_000)]
)
def test_limits_of_a_container_count(tmp_path, limit, free):
    """Pages of files count as used there, and can be given back."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (groups / "jobs" / "mine").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 5000 kB\nSwapFree: 1000 kB\n")
    (proc / "self" / "cgroup").write_text("0::/jobs/mine\n")
    (groups / "jobs" / "memory.max").write_text(f"{limit}\n")
    (groups / "jobs" / "memory.current").write_text("4000000\n")
    (groups / "jobs" / "memory.stat").write_text(
        "anon 1\ninactive_file 2000000\nactive_file 500000\n"
    )
    assert memory.available(proc, groups) == free
    assert memory.available(tmp_path / "none", groups) is None
