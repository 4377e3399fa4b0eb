"""One table of many methods: the same trials, the same encoder and the same number of updates."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from sv.errors import InputError, command_of
from sv.report.facts import UNKNOWN, read_training
from sv.report.tables import cost, percent
from sv.scoring.intervals import Interval

HEADER = ["method", "seed", "EER % [95 %]", "updates", "seconds a step", "memory MiB"]


def comparison_rows(experiments: Sequence[Path]) -> list[list[str]]:
    """Return the table as rows of cells, header first, in the order of EER.

    Parameters
    ----------
    experiments: experiment folders with ``train.json``, ``train.jsonl`` and ``report/report.json``
        (stages 3 to 8 of a recipe). All must be of one trial list.

    Raises
    ------
    InputError: an experiment has no report, or the reports are of different trial lists.
    """
    reports = [_report(exp) for exp in experiments]
    lists = {report["trials"]["sha256"] for report in reports}
    if len(lists) > 1:
        raise InputError(f"the reports are of {len(lists)} trial lists: compare on one list")
    systems = [report["systems"][0] for report in reports]
    costs = list(systems[0]["min_dcf"]) if systems else []
    header = [*HEADER[:3], *(f"minDCF p={p}" for p in costs), *HEADER[3:]]
    rows = []
    for exp, system in sorted(
        zip(experiments, systems, strict=True), key=lambda pair: pair[1]["eer"]
    ):
        facts = read_training(exp)
        rows.append(
            [
                str(facts.get("method", UNKNOWN)),
                str(facts.get("seed", UNKNOWN)),
                percent(system["eer"], _interval(system, "eer")),
                *(cost(system["min_dcf"][p], _interval(system, f"min_dcf {p}")) for p in costs),
                *_price(exp, facts),
            ]
        )
    return [header, *rows]


def _report(exp: Path) -> dict:
    path = exp / "report" / "report.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: run stages 6 to 8 of the recipe first: {command_of(6, 8)}"
        ) from None
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON ({error}): run stage 8 again: {command_of(8)}"
        ) from None


def _interval(system: dict, name: str) -> Interval | None:
    ends = system.get("intervals", {}).get(name)
    return None if ends is None else Interval(*ends)


def _price(exp: Path, facts: dict) -> list[str]:
    """Return the number of updates, the median of seconds a step, and MiB of memory as text."""
    steps, memory = facts.get("steps_per_epoch"), facts.get("peak_memory_mib")
    if not steps:  # a training of an earlier version
        return [UNKNOWN] * 3
    lines = (exp / "train.jsonl").read_text(encoding="utf-8").splitlines()
    # The median, because other programs may slow down an epoch or two.
    seconds = statistics.median(json.loads(line)["seconds"] for line in lines) / steps
    return [str(steps * len(lines)), f"{seconds:.3f}", f"{memory}"]
