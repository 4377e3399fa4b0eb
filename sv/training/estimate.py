"""What a training will take: said before its first step, and again when its pace is known.

Before the first step: the device, the bytes of a batch, the memory of a step. After `STEPS` steps:
the time for the rest, and whether reading, copying or computing holds the training up. All of it is
for people; nothing in the training depends on it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median

import torch

from sv import distributed
from sv.crops.batch_arrays import flatten
from sv.crops.views import Batch
from sv.device import describe_hardware, peak_memory
from sv.machine.memory import available, describe
from sv.methods.base import Method, Views
from sv.training.experiment import Experiment
from sv.training.prefetch import Ready

logger = logging.getLogger(__name__)

STEPS = 50
"""Steps after which the pace is known."""

WARM_UP = 5
"""First steps, in which libraries choose kernels; they do not count."""

LONG = 500
"""Steps of a training that is worth a forecast of its memory, which takes one to four seconds."""

PHASES = ("reading", "copying", "computing")
"""What a step consists of. Copying includes augmentation, and filterbanks of waveforms."""

REMEDIES = {
    "reading": "raise train.workers",
    "copying": "the batch is large for this bus, or its augmentation for this device: shorten "
    "crops (data.crop_seconds), or lower train.batch_size",
    "computing": "nothing waits for data",
}


class Clock:
    """Moments of training: events on a GPU, which wait for nothing, or seconds on a processor.

    An event is reached when the device gets there, not when the program does. So the time between
    two events is that of the device, and contains its own waiting for the program.
    """

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"

    def now(self) -> "torch.cuda.Event | float":
        """Return the present moment."""
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first, last) -> float:
        """Return the seconds between two moments. On a GPU, both must have been reached."""
        return first.elapsed_time(last) / 1e3 if self.on_gpu else last - first

    def wait(self, moment) -> None:
        """Wait until the device has reached a moment."""
        if self.on_gpu:
            moment.synchronize()


class Estimate:
    """Watches the first steps of a training and says what the training will take.

    settings, method, device, dtype: of the training, ``dtype`` as `sv.device.autocast_dtype` says.
    """

    def __init__(
        self,
        settings: Experiment,
        method: Method,
        device: torch.device,
        dtype: torch.dtype | None,
    ):
        self.settings, self.method, self.device, self.dtype = settings, method, device, dtype
        self.clock, self.ready, self.end = Clock(device), None, None

    def watch(
        self,
        batches: Iterator[Ready | None],
        left: int,
        example: Callable[[], Batch],
        views: Callable[[Batch], Views],
    ) -> Iterator[Ready | None]:
        """Yield the batches; a step is over when the next batch is asked for.

        left: number of steps until the training ends. example: reads a batch, because a batch
        that was prepared ahead does not tell its size. views: makes a batch the method's input.
        """
        marks, start = [], time.perf_counter()
        with closing(batches):
            asked = self.clock.now()
            for number, batch in enumerate(batches):
                if number == 0 and batch is not None:
                    known = isinstance(batch, Batch)
                    self.before(batch if known else example(), left, views)
                given, self.ready, self.end = self.clock.now(), None, None
                yield batch
                done = self.end or self.clock.now()
                if number < STEPS:
                    marks.append((asked, given, self.ready or given, done))
                if number + 1 == WARM_UP:
                    start = time.perf_counter()
                if number + 1 == STEPS:
                    self.clock.wait(done)
                    seconds = (time.perf_counter() - start) / (STEPS - WARM_UP)
                    self.after(seconds, marks[WARM_UP:], left - STEPS)
                asked = done

    def computed(self) -> None:
        """Note that this step is done; what follows is waiting for the next batch."""
        self.end = self.clock.now()

    def copied(self) -> None:
        """Note that the batch of this step is on the device, augmented."""
        self.ready = self.clock.now()

    def before(self, batch: Batch, left: int, views: Callable[[Batch], Views]) -> None:
        """Say what is known before the first step."""
        size = describe(sum(array.nbytes for array in flatten(batch)[0].values()))
        if self.device.type == "cuda":
            moved = f"each step copies {size} to the GPU"
            memory = torch.cuda.get_device_properties(self.device).total_memory
        else:
            moved, memory = f"a batch has {size}", available()
        told = [f"on {describe_hardware(self.device)}", moved]
        needed = self._forecast(views(batch)) if left >= LONG else None
        if needed is not None:
            of = "" if memory is None else f" of {describe(memory)}"
            told.append(
                f"a step needs about {describe(needed)}{of} of memory (counted in a step without "
                "data; work space of kernels comes on top)"
            )
        self._say(f"{left:,} steps {', '.join(told)}")

    def _forecast(self, views: Views) -> int | None:
        """Return the bytes of a step.

        None if the step exchanges tensors, is computed in parts, or cannot run without data.
        """
        if distributed.world_size() > 1 or self.settings.train.accumulate > 1:
            return None
        from sv.training.step_memory import step_memory  # takes a second to load

        name = self.settings.optim.name
        return step_memory(self.method, views, self.device, self.dtype, name)

    def after(self, seconds: float, marks: list[tuple], left: int) -> None:
        """Say what the first steps have shown.

        seconds: of a step. marks: for each step, the moments when its batch was asked for, was
        given, was on the device, and when the step was done. left: steps until the end.
        """
        spans = [[self.clock.between(*two) for two in zip(m, m[1:], strict=False)] for m in marks]
        middle = [median(step[phase] for step in spans) for phase in range(len(PHASES))]
        whole = max(sum(middle), 1e-9)
        shares = dict(zip(PHASES, (part / whole for part in middle), strict=True))
        worst = max(shares, key=shares.get)
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        self._say(
            f"after {STEPS} steps: {seconds:.3g} s a step, {duration(seconds * left)} for the "
            f"{left:,} steps left; {told} of a step, so the bottleneck is {worst} "
            f"({REMEDIES[worst]}); memory so far at most {describe(peak_memory(self.device))}"
        )

    def _say(self, text: str) -> None:
        if distributed.is_first():
            logger.info(text)


def duration(seconds: float) -> str:
    """Return ``40 s``, ``5 min``, ``3.2 h`` or ``2.5 days``."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 48 * 3600)):
        if seconds < most:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"
