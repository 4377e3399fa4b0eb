"""The memory that one step of training takes, counted on tensors that have shapes but no data.

The real step of the method runs in torch's fake mode: forward, backward, and no arithmetic. A
dispatch mode sees every tensor that appears, and the moment when nothing refers to it any more. The
largest sum is the estimate. It contains no work space of kernels and no holes of the allocator.
"""

import copy
import weakref
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from sv.device import autocast
from sv.methods.base import Method, Sources, Views

STATES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps for each weight."""


def step_memory(
    method: Method, views: Views, device: torch.device, dtype: torch.dtype | None, optimizer: str
) -> int | None:
    """Return the bytes at the peak of a step: weights, memories, optimiser, crops, activations.

    The method and its generators do not change, because a copy without data does the step.

    Parameters
    ----------
    views: a batch as the method sees it; only its shapes matter.
    dtype: of autocast; None for float32.
    optimizer: one of `STATES`.

    Returns
    -------
    None if the step of this method cannot run without data, because shapes depend on values.
    """
    trainable = sum(_bytes(weight) for weight in method.parameters() if weight.requires_grad)
    held = sum(map(_bytes, [*method.parameters(), *method.buffers()]))
    crops = [*views.crops.values(), *(source.log_mel for source in views.sources.values())]
    try:
        most = _peak_of_a_step(method, views, device, dtype)
    except (
        Exception
    ):  # a fake tensor has no values: each operation that reads one has its own error
        return None
    return held + (1 + STATES[optimizer]) * trainable + sum(map(_bytes, crops)) + most


def _peak_of_a_step(
    method: Method, views: Views, device: torch.device, dtype: torch.dtype | None
) -> int:
    """Return the bytes at the peak of a step beside weights, gradients and crops."""
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True) as fake:
        method, views = without_data(method, fake), _views_without_data(views, fake)
        method.train()
        for weight in method.parameters():
            if weight.requires_grad:
                weight.grad = torch.empty_like(weight)  # counted by the caller
        with LivingBytes() as living:
            with autocast(device, dtype):
                loss, _ = method.training_step(views)
            loss.backward()
    return living.most


def without_data(module: nn.Module, fake: FakeTensorMode) -> nn.Module:
    """Return a copy of a module whose weights and buffers are fake tensors."""
    known = {
        id(tensor): _without(tensor, fake) for tensor in [*module.parameters(), *module.buffers()]
    }
    return copy.deepcopy(module, known)


def _without(tensor: Tensor, fake: FakeTensorMode) -> Tensor:
    found = fake.from_tensor(tensor.detach())
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(found, requires_grad=tensor.requires_grad)
    return found


def _views_without_data(views: Views, fake: FakeTensorMode) -> Views:
    def bare(x):
        return fake.from_tensor(x) if isinstance(x, Tensor) else x

    sources = {
        name: Sources(bare(source.log_mel), bare(source.items))
        for name, source in views.sources.items()
    }
    crops = tree_map(bare, views.crops)
    return Views(crops, bare(views.utterances), bare(views.labels), views.moment, sources)


class LivingBytes(TorchDispatchMode):
    """Context that counts in ``most`` the largest number of bytes that were in use at once."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {id(s) for s in _storages((args, kwargs or {}))}
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if id(storage) not in before and storage not in self.known:
                size = storage.nbytes()
                self.known[storage] = size
                weakref.finalize(storage, self._gone, size)
                self.now += size
        self.most = max(self.most, self.now)
        return result

    def _gone(self, size: int) -> None:
        self.now -= size


def _storages(values: object) -> Iterable[torch.UntypedStorage]:
    return [x.untyped_storage() for x in tree_iter(values) if isinstance(x, Tensor)]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
