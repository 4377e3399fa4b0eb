"""Figures of one or more systems on one trial list, as a table and as JSON.

The first system is the system under test. The others are for comparison.
"""

import contextlib
from collections.abc import Sequence

import numpy as np

from sv.scoring.evaluate import SystemResult, differences
from sv.scoring.intervals import Interval

# ---------------------------------------------------------------- as text


def percent(value: float | None, span: Interval | None = None) -> str:
    """Return a share in per cent with its interval, such as ``9.53 [8.10, 10.92]``."""
    return _figure(value, span, 100.0, 2)


def cost(value: float | None, span: Interval | None = None) -> str:
    """Return a normalised cost with its interval, such as ``0.6168 [0.5710, 0.6634]``."""
    return _figure(value, span, 1.0, 4)


def in_digits(value: float) -> str:
    """Return a threshold as text that shows some of its digits at any scale of scores."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e6
    return f"{value:.4f}" if plain else f"{value:.4g}"


def _figure(value: float | None, span: Interval | None, scale: float, digits: int) -> str:
    if value is None:
        return "-"
    text = f"{scale * value:.{digits}f}"
    if span is not None and np.isfinite(span.low):
        text += f" [{scale * span.low:.{digits}f}, {scale * span.high:.{digits}f}]"
    return text


def figure_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return the table of figures, header first: one row per system."""
    first = results[0]
    header = ["system", "EER %", *(f"minDCF p={p:g}" for p in first.min_dcf)]
    if first.cllr is not None:
        header += [*(f"actDCF p={p:g}" for p in first.act_dcf), "Cllr bits", "minCllr bits"]
    rows = [header]
    for result in results:
        spans = result.intervals
        row = [result.name, percent(result.eer.value, spans.get("eer"))]
        row += [cost(point.value, spans.get(p)) for p, point in result.min_dcf.items()]
        if result.cllr is not None:
            row += [cost(value) for value in result.act_dcf.values()]
            row += [cost(result.cllr), cost(result.min_cllr)]
        rows.append(row)
    return rows


def best_in_columns(rows: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """Return (row, column) of the lowest figure of each column; none if there is only one system.

    Low is good for all figures of `figure_rows`. Equal figures are all best.
    """
    found = set()
    for column in range(1, len(rows[0])) if len(rows) > 2 else ():
        figures = {}
        for number, row in enumerate(rows[1:], start=1):
            with contextlib.suppress(ValueError):
                figures[number] = float(row[column].partition(" ")[0])
        lowest = min(figures.values(), default=0.0)
        found |= {(number, column) for number, value in figures.items() if value == lowest}
    return found


def difference_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return the table of differences from the first system, header first; [] without intervals."""
    first, rows = results[0], []
    for result in results[1:]:
        found = differences(result, first)
        if found:
            gap = result.eer.value - first.eer.value
            row = [f"{result.name} - {first.name}", percent(gap, found["eer"].interval)]
            for p, point in result.min_dcf.items():
                row.append(cost(point.value - first.min_dcf[p].value, found[p].interval))
            (low, high), p_value = found["eer"]
            verdict = "tie" if low <= 0 <= high else ("worse" if low > 0 else "better")
            known = np.isfinite(low)
            rows.append([*row, *((f"{p_value:.3f}", verdict) if known else ("-", "-"))])
    if not rows:
        return []
    minima = (f"minDCF p={p:g}" for p in first.min_dcf)
    return [["difference", "EER %", *minima, "p-value of EER", "by EER"], *rows]


def group_rows(results: Sequence[SystemResult]) -> list[list[str]]:
    """Return the EER per group, header first; one row per group, then their mean; [] if none."""
    if not results[0].groups:
        return []
    rows = [["EER % within", *(result.name for result in results)]]
    for group in results[0].groups:
        rows.append([group, *(percent(result.groups[group]) for result in results)])
    return [*rows, ["mean of groups", *(percent(result.group_mean) for result in results)]]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return the table as text; blanks align its columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


# ---------------------------------------------------------------- as JSON


def as_dict(results: Sequence[SystemResult]) -> dict:
    """Return the figures as plain types; ``eer`` and ``min_dcf`` are of the first system."""
    systems = [_system_dict(result) for result in results]
    record = {
        "eer": systems[0]["eer"],
        "min_dcf": systems[0]["min_dcf"],
        "systems": systems,
        "differences": [
            {
                "system": result.name,
                "minus": results[0].name,
                **_spans({key: each.interval for key, each in found.items()}),
                "eer_p_value": _finite(found["eer"].p_value),
            }
            for result in results[1:]
            if (found := differences(result, results[0]))
        ],
    }
    return _plain(record)


def _plain(value):
    """Return ``value`` with infinity as "inf" and NaN as null, because JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(float(value))
    return value


def _system_dict(result: SystemResult) -> dict:
    return {
        "name": result.name,
        "eer": result.eer.value,
        "eer_threshold": _finite(result.eer.threshold),
        "min_dcf": {f"{p:g}": point.value for p, point in result.min_dcf.items()},
        "min_dcf_threshold": {
            f"{p:g}": _finite(point.threshold) for p, point in result.min_dcf.items()
        },
        "act_dcf": {f"{p:g}": value for p, value in result.act_dcf.items()},
        "cllr": result.cllr,
        "min_cllr": result.min_cllr,
        "intervals": _spans(result.intervals),
        "eer_of_groups": result.groups,
        "eer_mean_of_groups": result.group_mean,
        "kinds": {
            kind: {
                "eer": one.eer.value,
                "min_dcf": {f"{p:g}": point.value for p, point in one.min_dcf.items()},
                "intervals": _spans(one.intervals),
            }
            for kind, one in result.kinds.items()
        },
    }


def _finite(value: float) -> float | None:
    """Return ``value``, or None if it is not finite, because JSON has neither inf nor NaN.

    If everything is rejected, the threshold is infinite. With few draws, the p-value is NaN.
    """
    return value if np.isfinite(value) else None


def _spans(spans: dict[str | float, Interval]) -> dict[str, list[float] | None]:
    return {
        key if isinstance(key, str) else f"min_dcf {key:g}": (
            list(span) if np.isfinite(span.low) else None
        )
        for key, span in spans.items()
    }
