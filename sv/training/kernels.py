"""The choice of kernels: deterministic or fastest, compiled or not, and the memory layout."""

import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sv.config import option
from sv.encoders.base import Encoder
from sv.errors import InputError
from sv.training.compiled import compile_networks

Switch = Literal["auto", True, False]
FASTEST = "fastest"
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass
class KernelConfig:
    """Settings of the kernels, a part of the group ``train``."""

    compile: Literal["auto", True, False, "graphs"] = option(
        "auto",
        "torch.compile for encoder and head; what cannot be compiled stays as it is, and the log "
        "says why. true: the first step of each crop length takes a minute or more, later steps "
        "are faster. graphs: also CUDA graphs, for small steps on a GPU, where the start of "
        "kernels takes the time (DINO's short crops). auto: false, until compiled training is "
        "measured on a GPU (python -m benchmarks.gpu); on a CPU the compiler takes longer than a "
        "short training",
    )
    exact: Switch = option(
        "auto",
        "true: deterministic kernels; a training that was killed and resumed ends with the same "
        "bits. false: the fastest kernels; resuming restores everything, but sums are rounded "
        "otherwise in each run. auto: true on a CPU, where it costs nothing, and false on a GPU. "
        "There true costs the choice among kernels (its price on a GPU is not measured yet)",
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = option(
        "auto",
        "memory layout of the encoder's activations. auto: the layout of the encoder; those of "
        "ecapa and fast_resnet34 were the faster ones on a CPU. Not measured on a GPU yet: try "
        "channels_last for ecapa in bfloat16",
    )


@dataclass(frozen=True)
class Kernels:
    """What the settings mean on a device.

    exact: whether kernels must be deterministic.
    compile: whether networks are compiled.
    graphs: whether compiled networks are replayed as CUDA graphs.
    memory_format: of the encoder, or None for its own.
    device: of the training.
    """

    exact: bool
    compile: bool
    graphs: bool
    memory_format: str | None
    device: torch.device

    @classmethod
    def choose(cls, config: KernelConfig, device: torch.device) -> "Kernels":
        """Resolve ``auto`` for ``device``, and tell torch whether kernels must be deterministic.

        Raises
        ------
        InputError: CUDA graphs are asked for on a CPU.
        """
        on_gpu = device.type == "cuda"
        if config.compile == "graphs" and not on_gpu:
            raise InputError(
                "train.compile=graphs needs a GPU: set train.compile=true, or --device cuda"
            )
        exact = not on_gpu if config.exact == "auto" else config.exact
        # A default must have been measured; benchmarks.gpu on a GPU will tell.
        compiled = config.compile in (True, "graphs")
        layout = None if config.memory_format == "auto" else config.memory_format
        kernels = cls(exact, compiled, config.compile == "graphs", layout, device)
        kernels.tell_torch()
        return kernels

    @property
    def identity(self) -> str:
        """What must be unchanged if a training resumes with the same bits; "" for the default.

        Settings that cannot change a bit are left out: CUDA graphs replay the same kernels.
        """
        if not self.exact:
            return FASTEST
        words = ["compiled"] if self.compile else []
        return ", ".join(words + ([self.memory_format] if self.memory_format else []))

    def prepare(self, method: nn.Module) -> None:
        """Lay out and compile the networks of ``method``, which is on the device."""
        if self.memory_format:
            for module in method.modules():
                if isinstance(module, Encoder):
                    lay_out(module, LAYOUTS[self.memory_format])
        if self.compile:
            compile_networks(method, self.device, self.graphs)

    def tell_torch(self) -> None:
        """Set torch's own switches, which are those of the whole process."""
        torch.backends.cudnn.deterministic = self.exact
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = not self.exact
            # cuBLAS reads it when it starts; other values let streams change the order of sums.
            if self.exact:
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            # A kernel without a deterministic form still runs, with a warning that names it.
            torch.use_deterministic_algorithms(self.exact, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False


def lay_out(encoder: nn.Module, layout: torch.memory_format) -> None:
    """Make ``encoder`` compute in a memory layout, whatever its own is.

    The layers hand on the layout that they get, so the output of the first one decides.
    """
    encoder.to(memory_format=layout)
    first = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_hook(lambda _, inputs, output: output.contiguous(memory_format=layout))


def can_resume(before: str, now: str) -> bool:
    """Return whether a training may go on with these kernels (see ``Kernels.identity``).

    A training that need not be exact may go on from any; an exact one only from its own kernels.
    """
    return now in (FASTEST, before)
