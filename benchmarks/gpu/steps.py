"""Steps a second and peak memory of the systems, against a plain step and against the floor."""

import statistics
import time

import torch

from benchmarks.gpu.bench import Bench, first_line, ratios
from benchmarks.gpu.budget import TimeUp
from benchmarks.gpu.floor import operations
from benchmarks.gpu.plain import PlainTraining
from benchmarks.gpu.systems import VARIANTS, rows_of, trainer_of
from sv.encoders.base import Encoder
from sv.training.trainer import Trainer

COMPILE_SECONDS = 60.0
"""A first guess of what it takes to compile the networks of a system."""

OTHER_DRAWS = ("SSPS",)
"""Systems whose plain step draws other positives, so that the losses cannot be compared."""


def measure_steps(bench: Bench) -> None:
    """Measure every system that the time allows, those without a compiler first."""
    waiting = rows_of(bench)
    longest = {False: 0.0, True: COMPILE_SECONDS}
    flops: dict[tuple[str, str], int] = {}
    while waiting:
        name, encoder, variant = row = waiting.pop(0)
        compiled = "compile" in variant
        if compiled and bench.scale.miniature:
            continue  # it shows that the rest runs
        if compiled and encoder == "separative":
            bench.not_run.append(f"{_title(row)}: its mixtures have uneven shapes")
            continue
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


def _measure(bench: Bench, name: str, encoder: str, variant: str, flops: dict) -> None:
    trainer = trainer_of(bench, name, encoder, VARIANTS[variant])
    trainer.state.epoch, trainer.state.step = 1, 1  # no first step of an epoch: that has more to do
    batches = [trainer.source[0, 1 + step] for step in range(bench.scale.batches)]
    if (name, encoder) not in flops:
        flops[name, encoder] = operations(trainer, batches[0])
    if "compile" in variant:
        compile_networks(trainer)
    own, held = _peak(bench, lambda: ours(trainer, batches)), _held(bench)
    plain = PlainTraining(trainer)
    difference = None if name in OTHER_DRAWS else _difference(trainer, plain, batches[0])
    other = _peak(bench, lambda: theirs(plain, batches))
    both = {"ours": lambda: ours(trainer, batches), "plain": lambda: theirs(plain, batches)}
    found = {key: [s / len(batches) for s in times] for key, times in bench.compare(both).items()}
    ratio, least, most = ratios(found["plain"], found["ours"])
    seconds = statistics.median(found["ours"])
    floor = flops[name, encoder] / bench.rates[variant.split(" ")[0]]
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
        tflop=flops[name, encoder] / 1e12,
        share_of_floor=floor / seconds,
        loss_difference=difference,
    )


def ours(trainer: Trainer, batches: list) -> None:
    """Do a step with each batch."""
    trainer.state.step = 1 + trainer.state.step % max(1, trainer.steps - len(batches) - 2)
    for batch in batches:
        trainer.train_step(batch)


def theirs(plain: PlainTraining, batches: list) -> None:
    """Do a plain step with each batch; kernels need not be deterministic, which is the default."""
    exact = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = False
    try:
        for batch in batches:
            plain.step(batch)
    finally:
        torch.backends.cudnn.deterministic = exact


def compile_networks(trainer: Trainer) -> None:
    """Compile each encoder of a method; a length of crops has a graph of its own."""
    for network in trainer.method.children():
        if isinstance(network, Encoder):
            network.compile(dynamic=False)


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
