"""Steps a second and peak memory of the systems, against a plain step and against the floor."""

import math
import statistics
import time
from collections.abc import Iterator
from itertools import cycle, repeat

import torch

from benchmarks.gpu.bench import Bench, first_line, ratios
from benchmarks.gpu.budget import TimeUp
from benchmarks.gpu.floor import operations
from benchmarks.gpu.plain import PlainTraining
from benchmarks.gpu.systems import VARIANTS, rows_of, trainer_of
from sv.crops.views import Batch
from sv.training.trainer import Trainer

COMPILE_SECONDS = 60.0
"""A first guess of what it takes to compile the networks of a system."""

COMPILED = ("bf16 + compile", "bf16 + graphs")

OTHER_DRAWS = ("SSPS",)
"""Systems whose plain step draws other positives, so that the losses cannot be compared."""


def measure_steps(bench: Bench) -> None:
    """Measure every system that the time allows, those without a compiler first."""
    waiting = rows_of(bench)
    longest = {False: 0.0, True: COMPILE_SECONDS}
    flops: dict[tuple[str, str], int] = {}
    while waiting:
        name, encoder, variant = row = waiting.pop(0)
        compiled = variant in COMPILED
        if bench.budget.left < 1.2 * longest[compiled]:
            bench.not_run.append(f"{_title(row)}: too little time was left")
            continue
        start = time.perf_counter()
        try:
            _measure(bench, name, encoder, variant, flops)
        except TimeUp:
            rest = [row, *waiting]
            bench.not_run += [f"{_title(each)}: the time was up" for each in rest]
            return
        except Exception as error:  # one system may need more memory than there is
            bench.not_run.append(f"{_title(row)}: {type(error).__name__}: {first_line(error)}")
        bench.free()
        longest[compiled] = max(longest[compiled], time.perf_counter() - start)


def _title(row: tuple[str, str, str]) -> str:
    return f"steps of {', '.join(row)}"


class OurTraining:
    """The steps of a training, with batches that are prepared ahead as in the training."""

    def __init__(self, bench: Bench, trainer: Trainer):
        self.trainer = trainer
        trainer.state.epoch, trainer.state.step = 1, 1  # the first step of an epoch has more to do
        self.batches = [trainer.source[0, 1 + step] for step in range(bench.scale.batches)]
        endless = (batch for batch in cycle(self.batches))
        self.ready = trainer.prefetcher.run(endless, repeat(trainer.moment))

    def step(self) -> None:
        """Do a step with the next batch."""
        trainer = self.trainer
        if trainer.state.step + 2 >= trainer.steps:
            trainer.state.step = 1
        trainer.train_step(next(self.ready))
        trainer.prefetcher.look_ahead()


def plain_batches(bench: Bench, trainer: Trainer) -> Iterator[Batch]:
    """Return the same batches in float32, without end."""
    trainer.source.codes = trainer.source.noise_codes = False
    return cycle([trainer.source[0, 1 + step] for step in range(bench.scale.batches)])


def _measure(bench: Bench, name: str, encoder: str, variant: str, flops: dict) -> None:
    trainer = trainer_of(bench, name, encoder, *VARIANTS[variant])
    ours = OurTraining(bench, trainer)
    if (name, encoder) not in flops and variant not in COMPILED:
        flops[name, encoder] = operations(trainer, ours.batches[0])
    own, held = _peak(bench, lambda: (ours.step(), ours.step())), _held(bench)
    plain, batches = PlainTraining(trainer), plain_batches(bench, trainer)
    difference = None if name in OTHER_DRAWS else _difference(trainer, plain, ours.batches[0])
    other = _peak(bench, lambda: plain.step(next(batches)))
    both = {"ours": ours.step, "plain": lambda: plain.step(next(batches))}
    found = bench.compare(both)
    ratio, least, most = ratios(found["plain"], found["ours"])
    seconds = statistics.median(found["ours"])
    work = flops.get((name, encoder), math.nan)
    least_seconds = work / bench.rates[variant.split(" ")[0]]
    reading = [r for r in bench.results.get("reading", []) if r["system"] == name]
    bench.add(
        "steps",
        system=name,
        encoder=encoder,
        precision=variant,
        batch=trainer.settings.train.batch_size,
        steps_per_second=1 / seconds,
        memory_gb=own,
        plain_memory_gb=None if other is None else other - held,
        ratio_to_plain=ratio,
        ratio_min=least,
        ratio_max=most,
        tflop=work / 1e12,
        share_of_floor=least_seconds / seconds,
        cores_to_read=1 / (seconds * reading[0]["batches_per_second_of_a_core"])
        if reading
        else None,
        loss_difference=difference,
    )


def _difference(trainer: Trainer, plain: PlainTraining, batch) -> float:
    """Return the relative difference of both losses of one batch, from the same weights."""
    trainer.state.totals.clear()
    trainer.train_step(batch)
    expected = plain.step(batch)
    return abs(float(trainer.state.totals["loss"]) - expected) / max(1e-9, abs(expected))


def _peak(bench: Bench, work) -> float | None:
    """Return the most GB of the device's memory that were in use during ``work``; a GPU's only."""
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
    work()
    bench.wait()
    on_gpu = bench.device.type == "cuda"
    return torch.cuda.max_memory_allocated(bench.device) / 1e9 if on_gpu else None


def _held(bench: Bench) -> float:
    """Return the GB of the device's memory that are in use."""
    return torch.cuda.memory_allocated(bench.device) / 1e9 if bench.device.type == "cuda" else 0.0
