"""The results of a run as tables in Markdown, and as JSON."""

import json
from pathlib import Path

from benchmarks.gpu.bench import Bench
from sv.device import describe_hardware
from sv.files import atomic_write
from sv.provenance import git_commit


def write(bench: Bench, out: Path) -> None:
    """Write ``out``.md and ``out``.json."""
    facts = {"hardware": describe_hardware(bench.device), "commit": git_commit()}
    facts["miniature"] = bench.scale.miniature
    with atomic_write(out.with_suffix(".md")) as handle:
        handle.write(markdown(bench, facts))
    with atomic_write(out.with_suffix(".json")) as handle:
        found = {**facts, "results": bench.results, "not_run": bench.not_run}
        json.dump(found, handle, indent=1)
        handle.write("\n")


def markdown(bench: Bench, facts: dict) -> str:
    """Return the tables of all parts, and the list of what was not run."""
    lines = ["# `python -m benchmarks.gpu`", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for part, rows in bench.results.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        # A column without a figure says nothing on this machine.
        names = [name for name in names if any(row.get(name) is not None for row in rows)]
        lines += ["", f"## {part}", "", _line(name.replace("_", " ") for name in names)]
        lines.append(_line("---" for _ in names))
        lines += [_line(_cell(row.get(name)) for name in names) for row in rows]
    lines += ["", "## Not run", ""]
    lines += [f"- {what}" for what in bench.not_run] or ["Everything was run."]
    return "\n".join(lines) + "\n"


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
