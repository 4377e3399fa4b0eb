"""Paired, interleaved timing: what a ratio between two programs needs on a shared machine.

To add a benchmark, write ``benchmarks/<name>.py`` with one function::

    from benchmarks.harness import Table, compare

    def benchmark(quick: bool) -> list[Table]:
        '''One line on what is compared, shown by --list.'''
        data = make_data(100 if quick else 10_000)
        return [
            compare(
                "fbank, whole utterances",              # title of the table
                {"torchaudio": lambda: peer(data), "ours": lambda: ours(data)},
                base="torchaudio",                      # ratios are speeds relative to this one
                items=len(data), unit="utt",
                rounds=3 if quick else 9,
            )
        ]

``python -m benchmarks.run <name>`` then finds it. Every contestant runs once per round, in an
order that turns by one from round to round, so that a slow minute of the machine falls on all.
A ratio is the median over rounds of (time of base / time of contestant) within one round.
Nothing here asserts a speed: a benchmark informs, a test decides.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """One contestant: seconds of each round, and (for single figures) a remark."""

    name: str
    seconds: list[float]
    ratios: list[float]
    note: str = ""


@dataclass
class Table:
    """The outcome of one comparison. ``items`` is the work of one run, in ``unit``."""

    title: str
    base: str
    items: float
    unit: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ratio(self, name: str) -> float:
        """Return the median speed of ``name`` relative to the base (2.0: twice as fast)."""
        return next(median(row.ratios) for row in self.rows if row.name == name)

    def __str__(self) -> str:
        width = max([len(row.name) for row in self.rows] + [10])
        lines = [self.title]
        if self.rows:
            lines.append(
                f"  {'':{width}}  {self.unit + '/s':>12}  {'ms median':>10}  {'min':>9}"
                f"  {'max':>9}  {'ratio':>6}  {'min':>6}  {'max':>6}"
            )
        for row in self.rows:
            middle = median(row.seconds)
            lines.append(
                f"  {row.name:{width}}  {self.items / middle:12,.1f}  {1e3 * middle:10.2f}"
                f"  {1e3 * min(row.seconds):9.2f}  {1e3 * max(row.seconds):9.2f}"
                f"  {median(row.ratios):6.2f}  {min(row.ratios):6.2f}  {max(row.ratios):6.2f}"
                + (f"  {row.note}" if row.note else "")
            )
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def as_dict(self) -> dict:
        """Return plain types for JSON."""
        return {
            "title": self.title,
            "base": self.base,
            "items": self.items,
            "unit": self.unit,
            "notes": self.notes,
            "rows": [
                {
                    "name": row.name,
                    "seconds": row.seconds,
                    "items_per_second": self.items / median(row.seconds),
                    "ratio": median(row.ratios),
                    "ratio_min": min(row.ratios),
                    "ratio_max": max(row.ratios),
                    "note": row.note,
                }
                for row in self.rows
            ],
        }


def compare(
    title: str,
    contestants: dict[str, Callable[[], object]],
    *,
    base: str,
    items: float,
    unit: str,
    rounds: int = 7,
    warmup: int = 1,
    notes: dict[str, str] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Table:
    """Time the contestants against each other; see the module's docstring.

    Args:
        contestants: name -> a call without arguments that does all ``items``.
        base: the contestant that has ratio 1.
        rounds, warmup: measured and unmeasured runs of each contestant.
        notes: name -> remark printed at the end of its row (memory, error).
    """
    if base not in contestants:
        raise ValueError(f"base {base!r} is none of {sorted(contestants)}")
    names = list(contestants)
    for name in names * warmup:
        contestants[name]()
    seconds = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            start = clock()
            contestants[name]()
            seconds[name].append(clock() - start)
    table = Table(title, base, items, unit)
    for name in names:
        ratios = [b / s for b, s in zip(seconds[base], seconds[name], strict=True)]
        table.rows.append(Row(name, seconds[name], ratios, (notes or {}).get(name, "")))
    return table
