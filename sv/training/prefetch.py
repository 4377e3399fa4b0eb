"""Preparing the next batch on a GPU while the GPU does a step.

A batch becomes the method's views on a second stream of the device: copies from pinned memory,
augmentation, filterbanks, normalisation. The trainer starts this as soon as it has given all work
of a step to the GPU, so both run at once. Batches, their order and their bits do not change: views
are a function of the batch, and the moment of each batch comes from its own epoch and step.

A batch is never taken beyond the end of the iterator that is given to ``run``. The trainer ends
that iterator where the composition of batches is made anew, so no batch is older than its clusters.

On a CPU nothing is prepared ahead: batches pass through as they are.
"""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from sv.crops.views import Batch
from sv.methods.base import Moment, Views

Prepare = Callable[[Batch, Moment], Views]
"""Moves a batch to the device and turns it into views at a moment of training."""

Ready = Batch | Views
"""What a step of training gets: a batch, or its views if they were prepared ahead."""


class Side(Protocol):
    """Where views are prepared beside the steps of training."""

    def begin(self) -> None:
        """Let the preparations that follow see all that the program has asked for until now."""

    def prepare(self, prepare: Prepare, batch: Batch, moment: Moment) -> Views:
        """Return the views of a batch; its memory may be used again after this call."""

    def hand_over(self, views: Views) -> None:
        """Let the steps of training use ``views`` from now on."""


class SideStream:
    """A second stream of a GPU."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device)

    def begin(self) -> None:
        """Wait for banks, labels and constants, which were made on the stream of training."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def prepare(self, prepare: Prepare, batch: Batch, moment: Moment) -> Views:
        """Copy the batch to pinned memory; ask for the rest on the second stream.

        The program waits for no copy to the GPU. PyTorch keeps the pinned memory until the copy is
        done.
        """
        with torch.cuda.stream(self.stream):
            return prepare(of_every_tensor(batch, Tensor.pin_memory), moment)

    def hand_over(self, views: Views) -> None:
        """Make the stream of training wait for the views, and keep their memory for it."""
        training = torch.cuda.current_stream(self.device)
        training.wait_stream(self.stream)

        def keep(tensor: Tensor) -> Tensor:
            # The allocator knows only the second stream, and would use the memory again too early.
            tensor.record_stream(training)
            return tensor

        of_every_tensor(views, keep)


def side_of(device: torch.device) -> Side | None:
    """Return a second stream of a GPU; None for a CPU."""
    return SideStream(device) if device.type == "cuda" else None


class Prefetcher:
    """Turns batches into views one step ahead; a step calls ``hand_over`` before it uses them.

    Parameters
    ----------
    prepare: makes views of a batch.
    side: where; None: batches pass through, and whoever gets one makes its views.
    """

    def __init__(self, prepare: Prepare, side: Side | None):
        self.prepare, self.side = prepare, side
        self.coming: Iterator[tuple[Batch | None, Moment]] | None = None
        self.waiting: list[Views | None | Exception] = []  # at most one

    def run(
        self, batches: Generator[Batch | None, None, None], moments: Iterable[Moment]
    ) -> Iterator[Ready | None]:
        """Yield the views of all batches in order, or the batches themselves without a side.

        None, which stands for a signal, is yielded in its turn. So an error of a reader is raised
        when its batch is due, not before. ``batches`` is closed at the end.

        moments: the moment of each batch.
        """
        try:
            if self.side is None:
                yield from batches
                return
            self.side.begin()
            self.coming = zip(batches, moments, strict=False)  # a signal ends the batches
            while True:
                self.look_ahead()
                if not self.waiting:
                    return
                found = self.waiting.pop()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            self.coming, self.waiting = None, []
            batches.close()

    def hand_over(self, views: Views) -> Views:
        """Let the step that begins use ``views``, and return them."""
        self.side.hand_over(views)
        return views

    def look_ahead(self) -> float:
        """Prepare the next batch if none is prepared; return the seconds waited for its reader."""
        if self.coming is None or self.waiting:
            return 0.0
        start = time.perf_counter()
        try:
            batch, moment = next(self.coming, (END, None))
            waited = time.perf_counter() - start
            if batch is END:
                return waited
            if batch is not None:
                batch = self.side.prepare(self.prepare, batch, moment)
            self.waiting.append(batch)
        except Exception as error:
            self.waiting.append(error)
            return time.perf_counter() - start
        return waited


END: Any = object()


def of_every_tensor(value: Any, act: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of nested dicts and dataclasses with ``act(tensor)`` for each tensor."""
    if isinstance(value, Tensor):
        return act(value)
    if isinstance(value, dict):
        return {name: of_every_tensor(part, act) for name, part in value.items()}
    if dataclasses.is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **of_every_tensor(parts, act))
    return value
