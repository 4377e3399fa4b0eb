"""The table of settings: mean ± deviation over seeds, the best, and what is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sv.report.facts import UNKNOWN
from sv.report.runs import BUDGETS, Row, differing, setting, unequal_budgets
from sv.scoring.over_seeds import PairedDifference, difference_over_seeds, holm, spread

MOST_SETTINGS = 8
"""More differing settings are not columns of the table; the page lists them all."""


@dataclass
class Table:
    """Rows of cells, the header first; ``bold``: (row, column) of the best figures.

    ``warnings`` are reasons to doubt a comparison, ``notes`` explain the figures.
    """

    cells: list[list[str]]
    bold: set[tuple[int, int]]
    warnings: list[str]
    notes: list[str]


def table_of(rows: Sequence[Row], warnings: Sequence[str] = ()) -> Table:
    """Return the table; the best row is first, and the others are compared with it.

    ``warnings``: those that the caller has already, about the trial list.
    """
    names = differing(rows)[:MOST_SETTINGS]
    tests = against_best(rows)
    costs = list(rows[0].runs[0].result.min_dcf)
    unequal = unequal_budgets(rows)
    header = ["setting", *names, "seeds", "EER %", *(f"minDCF p={p:g}" for p in costs)]
    header += ["EER minus best [95 %]", "p (Holm)", "verdict"] if len(rows) > 1 else []
    header += [BUDGETS[key] for key in unequal]
    figures = [
        [spread([100 * run.result.eer.value for run in row.runs]) for row in rows],
        *(
            [spread([run.result.min_dcf[p].value for run in row.runs]) for row in rows]
            for p in costs
        ),
    ]
    corrected = holm([float("nan") if test is None else test.p_value for test in tests])
    cells = [header]
    for number, row in enumerate(rows):
        line = [row.label, *(setting(row, name) for name in names), _seeds(row)]
        line += [_spread(column[number], 2 if at == 0 else 4) for at, column in enumerate(figures)]
        if len(rows) > 1:
            line += _verdict(rows, number, tests[number], corrected[number])
        cells.append(line + [_number(row.budget(key)) for key in unequal])
    first = 2 + len(names)
    bold = {
        (1 + number, first + at)
        for at, column in enumerate(figures)
        for number, value in enumerate(column)
        if len(rows) > 1 and value.mean == min(each.mean for each in column)
    }
    return Table(cells, bold, [*warnings, *_warnings(rows, unequal)], _notes(rows))


def against_best(rows: Sequence[Row]) -> list[PairedDifference | None]:
    """Return the EER of each row minus that of the first, over seeds and speakers; None if unknown.

    It is unknown for the first row itself, and if there are no draws of speakers.
    """
    found: list[PairedDifference | None] = [None]
    for row in rows[1:]:
        sides = [_draws(row), _draws(rows[0])]
        known = all(draws is not None for side in sides for draws in side.values())
        found.append(difference_over_seeds(*sides) if known else None)
    return found


def _draws(row: Row) -> dict:
    return {
        run.seed if run.seed is not None else -1 - number: (
            None if run.result.resampled is None else run.result.resampled.eer
        )
        for number, run in enumerate(row.runs)
    }


def _seeds(row: Row) -> str:
    return " ".join(UNKNOWN if seed is None else str(seed) for seed in row.seeds)


def _spread(value, digits: int) -> str:
    text = f"{value.mean:.{digits}f}"
    return text if np.isnan(value.deviation) else f"{text} ± {value.deviation:.{digits}f}"


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _verdict(rows, number: int, test: PairedDifference | None, p_value: float) -> list[str]:
    if number == 0:
        return ["best", UNKNOWN, UNKNOWN]
    gap = 100 * (_mean(rows[number]) - _mean(rows[0]))
    if test is None or not np.isfinite(test.interval.low):
        return [f"{gap:.2f}", UNKNOWN, UNKNOWN]
    low, high = (100 * end for end in test.interval)
    return [
        f"{gap:.2f} [{low:.2f}, {high:.2f}]",
        f"{p_value:.3f}",
        "worse" if p_value < 0.05 else "tie",
    ]


def _mean(row: Row) -> float:
    return sum(run.result.eer.value for run in row.runs) / len(row.runs)


def _warnings(rows: Sequence[Row], unequal: Sequence[str]) -> list[str]:
    found = []
    trained = [row for row in rows if row.runs[0].settings]
    for key in unequal:
        values = ", ".join(f"{row.label} {_number(row.budget(key))}" for row in rows)
        found.append(
            f"The budgets differ ({BUDGETS[key]}: {values}): a difference may come from that, "
            "not from the setting."
        )
    single = [row.label for row in trained if len(row.runs) == 1]
    if single and len(rows) > 1:
        found.append(
            f"One seed only ({', '.join(single)}): another seed may change the order; the test "
            "covers the choice of speakers alone."
        )
    if len({tuple(row.seeds) for row in trained}) > 1:
        found.append(
            "The rows have different seeds, so they cannot be compared seed by seed, and the test "
            "is less sharp."
        )
    labels = {run.facts.get("labels_used", "none") for row in trained for run in row.runs}
    if len(labels) > 1:
        found.append(f"The trainings use different labels ({', '.join(sorted(map(str, labels)))}).")
    return found


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    if any(len(row.runs) > 1 for row in rows):
        notes.append("Figures are mean ± standard deviation over the seeds.")
    if len(rows) > 1:
        notes.append(
            "The interval and p resample seeds and test speakers together; p is corrected for the "
            f"number of comparisons, {len(rows) - 1} (Holm). Worse: p below 0.05."
        )
        notes.append(
            "The best row was found on these same trials, so its figure is too good. Choose a "
            "setting on development trials, and report the test list once."
        )
    return notes
