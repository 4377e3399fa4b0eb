"""Counts where a step of training would wait for a GPU, on a CPU.

A program that reads a number from a GPU waits until the GPU has done everything before it, and the
GPU then waits for the program. So does an operation whose output has a shape that depends on
values, and so does a copy of ordinary memory to the device. On a CPU nothing waits, but the same
operations can be counted as they are called. A copy to the device cannot be seen on a CPU; instead,
what makes an array without naming a device is counted, and so is a generator without a device.
"""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READS = ("_local_scalar_dense", "is_nonzero", "equal", "item")
SHAPES = ("nonzero", "nonzero_numpy", "masked_select", "unique", "_unique", "_unique2")
SHAPES += ("unique_dim", "unique_consecutive", "bincount", "histc", "repeat_interleave.Tensor")
MASKED = ("index", "index_put", "index_put_", "_index_put_impl_")
METHODS = ("tolist", "numpy", "__array__", "__bool__", "__int__", "__float__", "__index__", "cpu")
CREATORS = ("tensor", "as_tensor")
"""They copy numbers to a device if one is given."""
ON_HOST = ("from_numpy", "arange", "linspace", "zeros", "ones", "full", "empty", "eye")
ON_HOST += ("rand", "randn", "randint", "randperm")
"""They make arrays in the memory of the processor if no device is given. A step needs such an array
only to copy it to the device."""
OURS = str(Path(__file__).resolve().parents[1] / "sv") + "/"


class DeviceWaits(TorchDispatchMode):
    """Context that counts in ``found``: {"what, at file:line of ours": how often}."""

    def __init__(self):
        super().__init__()
        self.found: Counter[str] = Counter()
        self.counts = True

    def __enter__(self):
        self.patches = ExitStack()
        for owner, names in ((torch.Tensor, METHODS), (torch, (*CREATORS, *ON_HOST))):
            for name in names:
                patched = self._counting(getattr(owner, name), name)
                self.patches.enter_context(mock.patch.object(owner, name, patched))
        generator = self._counting(torch.Generator, "Generator")
        self.patches.enter_context(mock.patch.object(torch, "Generator", generator))
        return super().__enter__()

    def __exit__(self, *args):
        self.patches.close()
        return super().__exit__(*args)

    def uncounted(self, function):
        """Return ``function`` with nothing in it counted."""

        def paused(*args, **kwargs):
            self.counts = False
            try:
                return function(*args, **kwargs)
            finally:
                self.counts = True

        return paused

    def _counting(self, function, name):
        def counted(*args, **kwargs):
            if name in CREATORS:
                counts = kwargs.get("device") is not None
            elif name in ON_HOST:
                counts = kwargs.get("device") is None and kwargs.get("out") is None
            else:
                counts = name != "Generator" or not (args or kwargs)
            if counts:
                self._note(name)
            return function(*args, **kwargs)

        return counted

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.split("::")[1]
        full = f"{name}.{func._overloadname}"
        if name in READS or name in SHAPES or full in SHAPES:
            self._note(name)
        elif name in MASKED and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        ):
            self._note(f"{name} by a mask")
        return func(*args, **(kwargs or {}))

    def _note(self, what: str) -> None:
        if not self.counts:
            return
        frame = sys._getframe(1)  # a traceback would read the lines of all files
        while frame is not None and not frame.f_code.co_filename.startswith(OURS):
            frame = frame.f_back
        where = "outside"
        if frame is not None:
            where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        self.found[f"{what}, at {where}"] += 1
