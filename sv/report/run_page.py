"""The page that compares settings: the table, the runs behind it, and what they have in common."""

import datetime
from collections.abc import Sequence

import yaml

from sv.data.trials import Trials
from sv.files import sha256
from sv.provenance import git_commit
from sv.report.facts import UNKNOWN, duration
from sv.report.files import read_log
from sv.report.page import Page, Picture, page
from sv.report.run_table import Table
from sv.report.runs import BUDGETS, Row, common_settings, differing, setting
from sv.report.summary import Check
from sv.report.tables import cost, percent

MOST_CURVES = 6
"""Settings whose training is drawn; more lines could not be told apart."""


def comparison_page(
    rows: Sequence[Row], table: Table, trials: Trials, title: str, command: str, intervals: str
) -> str:
    """Return the page as HTML; ``title``: of the comparison, ``command``: that made it."""
    runs = [run for row in rows for run in row.runs]
    commits = {str(run.facts["git_commit"]) for run in runs if "git_commit" in run.facts}
    hardware = {str(run.facts["hardware"]) for run in runs if "hardware" in run.facts}
    evaluation = [
        ["trial list", f"{trials.path} (sha256 {sha256(trials.path)})"],
        ["trials", f"{len(trials):,}, {int(trials.labels.sum()):,} of them target"],
        ["intervals", intervals],
        ["hardware of training", "; ".join(sorted(hardware)) or UNKNOWN],
        ["commit of training", ", ".join(sorted(commits)) or UNKNOWN],
        ["report", f"{datetime.date.today().isoformat()}, commit {git_commit()}"],
        ["command", command],
    ]
    common = yaml.safe_dump(common_settings(rows), sort_keys=False)
    return page(
        Page(
            title=title,
            over=f"Comparison of settings on {trials.path.parent.name}/{trials.path.name}",
            summary=_summary(rows, table),
            checks=[Check("Comparison", "warning", text) for text in table.warnings],
            tables=[
                ("Settings", table.cells),
                ("Settings that differ", _settings(rows)),
                ("Budgets", _budgets(rows)),
                ("Runs", _runs(rows)),
            ],
            bold={"Settings": table.bold},
            notes=table.notes,
            pictures=_pictures(rows),
            evaluation=[row for row in evaluation if row[1] != UNKNOWN],
            configurations={"the rows, where they agree": common},
        )
    )


def _summary(rows: Sequence[Row], table: Table) -> list[str]:
    runs = sum(len(row.runs) for row in rows)
    column = table.cells[0].index("EER %")
    first = f"{rows[0].label} has the lowest mean EER of {len(rows)} settings in {runs} runs: "
    sentences = [first + f"{table.cells[1][column]} %."]
    if "verdict" in table.cells[0]:
        at = table.cells[0].index("verdict")
        ties = [line[0] for line in table.cells[2:] if line[at] == "tie"]
        worse = [line[0] for line in table.cells[2:] if line[at] == "worse"]
        if worse:
            sentences.append(f"Worse by more than chance: {', '.join(worse)}.")
        if ties:
            sentences.append(f"Not told apart from it by these trials: {', '.join(ties)}.")
    return sentences


def _settings(rows: Sequence[Row]) -> list[list[str]]:
    names = differing(rows)
    if not names:
        return [["setting", *(row.label for row in rows)], ["none differs", *("-" for _ in rows)]]
    cells = [[name, *(setting(row, name) for row in rows)] for name in names]
    return [["setting", *(row.label for row in rows)], *cells]


def _budgets(rows: Sequence[Row]) -> list[list[str]]:
    def text(value: float | None) -> str:
        return UNKNOWN if value is None else f"{value:,.1f}".removesuffix(".0")

    return [
        ["setting", *BUDGETS.values()],
        *([row.label, *(text(row.budget(key)) for key in BUDGETS)] for row in rows),
    ]


def _runs(rows: Sequence[Row]) -> list[list[str]]:
    costs = list(rows[0].runs[0].result.min_dcf)
    header = ["setting", "seed", "EER %", *(f"minDCF p={p:g}" for p in costs), "training time"]
    lines = [[*header, "configuration", "folder"]]
    for row in rows:
        for run in row.runs:
            spans, seconds = run.result.intervals, run.facts.get("wall_seconds")
            lines.append(
                [
                    row.label,
                    UNKNOWN if run.seed is None else str(run.seed),
                    percent(run.result.eer.value, spans.get("eer")),
                    *(cost(run.result.min_dcf[p].value, spans.get(p)) for p in costs),
                    duration(seconds) if isinstance(seconds, (int, float)) else UNKNOWN,
                    run.digest if run.settings else UNKNOWN,
                    run.exp.name,
                ]
            )
    return lines


def _pictures(rows: Sequence[Row]) -> list[Picture]:
    from sv.report.plots import curve_figures, inline_svg, logged, seeds_figure  # slow to load

    eers = {row.label: [100 * run.result.eer.value for run in row.runs] for row in rows}
    pictures = [
        Picture("Runs", inline_svg(seeds_figure(eers), "Runs"), "EER of each run, best on top.")
    ]
    logs = {row.label: read_log(row.runs[0].exp / "train.jsonl") for row in rows[:MOST_CURVES]}
    logs = {name: lines for name, lines in logs.items() if lines}
    if logs:
        caption = f"The first seed of each setting, epoch by epoch: {', '.join(logs)}."
        svgs = [
            inline_svg(figure, f"Training: {name}")
            for name, figure in zip(logged(logs), curve_figures(logs), strict=True)
        ]
        pictures.append(Picture("Training", svgs, caption))
    return pictures
