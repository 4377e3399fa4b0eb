"""A row of RESULTS.md: a figure, and everything that is needed to reproduce it."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from sv.files import atomic_write, sha256
from sv.report.facts import FACTS
from sv.report.tables import cost, percent
from sv.scoring.evaluate import SystemResult


def columns(p_targets: list[float], kinds: Sequence[str] = ()) -> list[str]:
    """Return the header. Column names contain the prior, so costs of two priors never mix.

    ``kinds``: kinds of other scores (``SystemResult.other_kinds``), which have a column each.
    """
    return [
        "date",
        "system",
        "EER % [95 %]",
        *(f"minDCF p={p:g} [95 %]" for p in p_targets),
        *(f"EER % {kind} [95 %]" for kind in kinds),
        "trials (sha256)",
        *(FACTS[key] for key in FACTS if key not in ("method", "encoder")),
    ]


def row(
    result: SystemResult, trials: Path, facts: dict[str, str], date: datetime.date | None = None
) -> list[str]:
    """Return the cells that belong under ``columns``."""
    spans = result.intervals
    few = f" ({result.few})" if result.few else ""
    return [
        (date or datetime.date.today()).isoformat(),
        result.name,
        percent(result.eer.value, spans.get("eer")) + few,
        *(cost(point.value, spans.get(p)) for p, point in result.min_dcf.items()),
        *(percent(one.eer.value, one.intervals.get("eer")) for one in result.other_kinds.values()),
        f"{trials.absolute().parent.name}/{trials.name} ({sha256(trials)})",
        *(facts[key] for key in FACTS if key not in ("method", "encoder")),
    ]


def append_row(path: str | Path, header: list[str], cells: list[str]) -> bool:
    """Add a row below the last row of the table with this ``header``; return whether it was added.

    If there is no table with the same columns, a new table is started at the end of the file. The
    rest of the file stays unchanged. A row that exists already, for example because the report was
    made twice, is not added again.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ["# Results"]
    head = markdown_line(header)
    if markdown_line(cells) in lines:
        return False
    at = max((i for i, line in enumerate(lines) if _cells(line) == _cells(head)), default=-1)
    if at < 0:
        lines += ["", head, "|" + "---|" * len(header)]
        at = len(lines)
    else:
        while at < len(lines) and lines[at].lstrip().startswith("|"):
            at += 1
    lines.insert(at, markdown_line(cells))
    with atomic_write(path) as handle:
        handle.write("\n".join(lines) + "\n")
    return True


def markdown_line(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    safe = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(safe) + " |"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
