"""Networks compiled by torch.compile: one graph for each shape, and a fallback that says why.

A network is compiled in place, as ``torch.nn.Module.compile`` does it: its class, its weights and
the names in its state dict stay. Copies of it and saved models are not compiled.
"""

import os
import shutil
import sys
from typing import Any

import torch
from torch import Tensor, nn

from sv.encoders.base import Encoder
from sv.encoders.heads import BottleneckHead
from sv.encoders.sync_norm import is_synchronised

MOST_SHAPES = 8
"""Number of shapes for which a network is compiled. An encoder meets two to four in a training."""


class CompiledCall:
    """The call of a module: compiled for batches of crops, as written for all else.

    Not compiled are calls with ``lengths``, and calls in inference mode, because their shapes vary
    from batch to batch. If a shape cannot be compiled, this module is never compiled again, and one
    line on stderr says why.

    Parameters
    ----------
    module: whose call it is.
    name: of the module, for the line.
    graphs: replay the kernels of a step as CUDA graphs.
    """

    def __init__(self, module: nn.Module, name: str, graphs: bool = False):
        self.plain, self.name, self.graphs = module._call_impl, name, graphs
        mode = "reduce-overhead" if graphs else None
        self.compiled = torch.compile(self.plain, dynamic=False, fullgraph=True, mode=mode)
        self.module, self.shapes, self.gave_up = module, set(), False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns."""
        if not self._suits(*args, **kwargs):
            return self.plain(*args, **kwargs)
        try:
            output = self.compiled(*args)
        except torch._dynamo.exc.TorchDynamoException as error:
            self.gave_up = True
            tell(f"{self.name} is not compiled: {_reason(error)}")
            return self.plain(*args)
        # The next replay of the graph overwrites its output.
        return output.clone() if self.graphs else output

    def _suits(self, *args: Any, **kwargs: Any) -> bool:
        """Return whether a call is compiled; remember its shape."""
        if self.gave_up or kwargs or len(args) != 1 or torch.is_inference_mode_enabled():
            return False
        x: Tensor = args[0]
        shape = (x.shape, x.dtype, x.requires_grad, self.module.training, torch.is_grad_enabled())
        if shape not in self.shapes and len(self.shapes) == MOST_SHAPES:
            return False
        self.shapes.add(shape)
        return True


def compile_networks(method: nn.Module, device: torch.device, graphs: bool = False) -> list[str]:
    """Compile the encoders and heads of ``method`` in place; return their names.

    Nothing is compiled before the first call. With synchronised batch norms, or on a CPU without a
    C++ compiler, nothing is compiled at all, and one line on stderr says why.
    """
    obstacle = obstacle_to_compilation(method, device)
    if obstacle:
        tell(f"the networks are not compiled: {obstacle}")
        return []
    torch._dynamo.config.recompile_limit = 64  # shapes × networks; all share the code of a call
    torch._functorch.config.force_non_lazy_backward_lowering = True  # errors come in our call
    found = {name: child for name, child in method.named_children() if _is_network(child)}
    for name, network in found.items():
        network._compiled_call_impl = CompiledCall(network, name, graphs)
    return list(found)


def obstacle_to_compilation(method: nn.Module, device: torch.device) -> str:
    """Return why nothing of ``method`` can be compiled, or ""."""
    if is_synchronised(method):
        return (
            "batch norms of several processes exchange their statistics inside the network "
            "(train.sync_batch_norm)"
        )
    if device.type == "cpu" and not has_compiler():
        return "torch needs a C++ compiler on a CPU: install g++, or set CXX"
    return ""


def has_compiler() -> bool:
    """Return whether there is a C++ compiler for torch."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    return any(shutil.which(name) for name in names)


def tell(text: str) -> None:
    """Write one line to the log of the training."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def _is_network(module: nn.Module) -> bool:
    """Return whether ``module`` is an encoder, or a head that has layers."""
    kinds = (Encoder, BottleneckHead, nn.Sequential)
    return isinstance(module, kinds) and any(True for _ in module.parameters())


def _reason(error: Exception) -> str:
    """Return the start of an error in one line, without torch's advice on how to see more."""
    text = str(error).partition("Set TORCHDYNAMO_VERBOSE")[0]
    return " ".join(text.split())[:200] or type(error).__name__
