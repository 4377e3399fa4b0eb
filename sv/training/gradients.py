"""The loss of a step and its gradients, also for batches whose graph does not fit in memory.

``train.accumulate: n`` computes a step in n parts. Memory for the graph then falls to 1/n. How, is
a property of the method (`sv.methods.base.Method.accumulation`):

plain   The loss is a mean over items. Each part has its own loss and backward pass, and gradients
        add up. It takes no more time.
cached  The loss compares the items of the batch. Gradient caching (GradCache; Gao et al., RepL4NLP
        2021, arXiv 2101.06983, section 3.2) gives the gradient of the whole batch:

            1. z_k = f(x_k) for every part k, without a graph
            2. L(z_1 … z_n) and its backward pass down to the embeddings: u_k = ∂L/∂z_k
            3. for every part k: f(x_k) again, with its graph, and ∂L/∂θ += (∂z_k/∂θ)ᵀ u_k

        The encoder runs forwards twice, so a step takes about a third more time. Heads, losses and
        memories see the whole batch. Dropout draws in (3) what it drew in (1).
none    The method is refused.

The result is that of the whole batch with one exception: batch norms of the encoder in training
mode measure each part by itself, and update their running statistics once for each part.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sv import distributed
from sv.device import autocast
from sv.errors import InputError
from sv.methods.base import Method, Stats, Views
from sv.training.experiment import TrainConfig
from sv.training.overlap import Averaging


class Gradients:
    """Computes losses and gradients, in as many parts as ``train.accumulate`` says.

    Raises
    ------
    InputError: the method cannot be computed in parts, or the parts would not be equal.
    """

    def __init__(
        self, method: Method, train: TrainConfig, device: torch.device, dtype: torch.dtype | None
    ):
        self.method, self.parts, self.device, self.dtype = method, train.accumulate, device, dtype
        check_parts(method, train)
        self.averaging = Averaging(method.parameters())

    def of(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss of this process's items and figures to log; set all gradients.

        The gradients are means over processes. The loss has no graph any more.
        """
        self.method.zero_grad(set_to_none=True)
        if self.parts == 1:
            loss, stats = self._loss(views)
            self.averaging.begin()
            loss.backward()
        elif self.method.accumulation == "plain":
            loss, stats = self._plain(views)
        else:
            loss, stats = self._cached(views)
        self.averaging.finish()
        return loss.detach(), stats

    @contextmanager
    def forward(self) -> Iterator[list["Call"]]:
        """Context for the method's networks: they compute in parts, in the right precision.

        The value is the list of those calls of the encoder that need a backward pass.
        """
        calls: list[Call] = []
        swapped = {}
        if self.parts > 1:
            followers = [to for to, of in self.method.momentum_pairs() if of is self.method.encoder]
            networks = (self.method.encoder, *followers)
            swapped = {n: m for n, m in self.method.named_children() if m in networks}
        for name, network in swapped.items():
            setattr(self.method, name, InParts(network, self.parts, calls, self.device))
        try:
            with autocast(self.device, self.dtype):
                yield calls
        finally:
            for name, network in swapped.items():
                setattr(self.method, name, network)

    def _loss(self, views: Views) -> tuple[Tensor, Stats]:
        with autocast(self.device, self.dtype):
            return self.method.training_step(views)

    def _plain(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the mean loss and mean figures of the parts, after all backward passes."""
        found = []
        for number in range(self.parts):
            loss, stats = self._loss(part_of(views, number, self.parts))
            if number == self.parts - 1:
                self.averaging.begin()
            (loss / self.parts).backward()
            found.append({"loss": loss.detach(), **stats})
        embeddings = torch.cat([figures.pop("embeddings") for figures in found])
        means = {name: sum(figures[name] for figures in found) / self.parts for name in found[0]}
        return means.pop("loss"), {**means, "embeddings": embeddings}

    def _cached(self, views: Views) -> tuple[Tensor, Stats]:
        """Return loss and figures of the whole batch, after all backward passes."""
        encoder = self.method.encoder
        with self.forward() as calls:
            loss, stats = self.method.training_step(views)
        loss.backward()
        # The first pass has updated these; the second may not do so again.
        buffers = [(buffer, buffer.clone()) for buffer in encoder.buffers()]
        own = set(encoder.parameters())
        done = [weight for weight in self.method.parameters() if weight not in own]
        again = [part for call in calls for part in call.parts()]
        for number, part in enumerate(again):
            with autocast(self.device, self.dtype), drawing_as(part.random, self.device):
                output = encoder(part.inputs)
            if number == len(again) - 1:
                self.averaging.begin(done)
            output.backward(part.gradient)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        return loss, stats


class Part:
    """Inputs of the encoder, the random state when it saw them, and the gradient of its output."""

    def __init__(self, inputs: Tensor, random: list[Tensor], gradient: Tensor):
        self.inputs, self.random, self.gradient = inputs, random, gradient


class Call:
    """One call of the encoder: the inputs of each part, and the joined output, a leaf."""

    def __init__(self, inputs: list[Tensor], random: list[list[Tensor]], output: Tensor):
        self.inputs, self.random, self.output = inputs, random, output

    def parts(self) -> list[Part]:
        """Return what the second pass needs; nothing if the loss does not depend on the output."""
        if self.output.grad is None:
            return []
        gradients = self.output.grad.split([len(x) for x in self.inputs])
        return [Part(*three) for three in zip(self.inputs, self.random, gradients, strict=True)]


class InParts(nn.Module):
    """Stands for a network in a step: it computes a batch in parts and keeps no graph.

    Its output is a leaf, whose gradient is what the second pass needs.
    """

    def __init__(self, network: nn.Module, parts: int, calls: list[Call], device: torch.device):
        super().__init__()
        self.network, self.parts, self.calls, self.device = network, parts, calls, device
        self.training = network.training

    def __getattr__(self, name: str):
        """Return what the network has, such as ``embedding_dim``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.network, name)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, frames, mel) to (batch, embedding_dim)."""
        learns = torch.is_grad_enabled()
        inputs = x.tensor_split(max(1, min(self.parts, len(x) // 2)))
        random, outputs = [], []
        with torch.no_grad():
            for part in inputs:
                random.append(random_state(self.device))
                outputs.append(self.network(part))
        output = torch.cat(outputs)
        if learns and any(weight.requires_grad for weight in self.network.parameters()):
            output.requires_grad_()
            self.calls.append(Call(list(inputs), random, output))
        return output


def check_parts(method: Method, train: TrainConfig) -> None:
    """Raise ``InputError`` if a step of this method cannot be computed in so many equal parts."""
    parts, processes = train.accumulate, distributed.world_size()
    if parts == 1:
        return
    if method.accumulation == "none":
        raise InputError(
            f"train.accumulate is {parts}, and {method.config.name} needs more of the encoder than "
            "embeddings, which gradient caching cannot keep: --set train.accumulate=1, and lower "
            "train.batch_size if memory is short"
        )
    # Each part is then of the same number of items, also in batch norms of several processes.
    if train.batch_size % (parts * processes) or train.batch_size < 2 * parts * processes:
        whose = f" in each of {processes} processes" if processes > 1 else ""
        raise InputError(
            f"train.batch_size is {train.batch_size} and train.accumulate is {parts}{whose}: parts "
            f"must be equal and have two items or more, so make the batch a multiple of "
            f"{parts * processes}, at least {2 * parts * processes}"
        )


def part_of(views: Views, number: int, parts: int) -> Views:
    """Return the items of part ``number`` of ``parts`` equal parts of a batch without mixtures."""
    size = len(views.items) // parts
    rows = slice(number * size, (number + 1) * size)
    crops = {name: group[:, rows] for name, group in views.crops.items()}
    labels = None if views.labels is None else views.labels[..., rows]
    return Views(crops, views.utterances[..., rows], labels, views.moment)


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the random generators that a network may use."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


@contextmanager
def drawing_as(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Context that draws what was drawn after `random_state`, and then goes on as before it."""
    before = random_state(device)
    _set_random(states, device)
    try:
        yield
    finally:
        _set_random(before, device)


def _set_random(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
