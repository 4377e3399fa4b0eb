"""Stage 8 of recipe v4: the EER of every system under every condition, such as each SNR.

The program reads the report.json of each condition. It prints the table and writes it to
OUT.md, with a picture, OUT.png: one line per system over the conditions.

Example:
  python -m sv.bin.report_conditions --out exp/report/conditions \\
      --reports clean=exp/csc-0/report/report.json "0 dB=exp/report/test_0db/report.json"
"""

import json
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError, command_of


def main(argv: list[str] | None = None) -> None:
    """Read the reports; print and write the table, draw the picture."""
    p = parser(__doc__)
    p.add_argument(
        "--reports",
        nargs="+",
        required=True,
        metavar="CONDITION=FILE",
        help="report.json of each condition, in the order of the columns; all must have the same "
        "systems",
    )
    p.add_argument(
        "--out", type=Path, required=True, help="path of both files without .md and .png"
    )
    args = p.parse_args(argv)

    from sv.files import atomic_write
    from sv.report.plots import conditions_figure, save
    from sv.report.table_formats import as_markdown, as_text
    from sv.report.tables import best_in_columns, percent
    from sv.scoring.intervals import Interval

    reports = [read(text) for text in args.reports]
    names = [system["name"] for system in reports[0][1]]
    for condition, systems in reports:
        if [system["name"] for system in systems] != names:
            raise InputError(
                f"--reports: {condition} has other systems than {reports[0][0]}: give reports of "
                "the same systems"
            )
    cells = [["EER %", *(condition for condition, _ in reports)]]
    for number, name in enumerate(names):
        row = [name]
        for _, systems in reports:
            span = systems[number]["intervals"].get("eer")
            row.append(percent(systems[number]["eer"], Interval(*span) if span else None))
        cells.append(row)
    bold = best_in_columns(cells)
    print(as_text(cells, bold))
    with atomic_write(args.out.with_name(args.out.name + ".md")) as handle:
        handle.write(as_markdown(cells, bold))
    rates = {
        name: [100 * systems[number]["eer"] for _, systems in reports]
        for number, name in enumerate(names)
    }
    figure = conditions_figure([condition for condition, _ in reports], rates)
    save(figure, args.out.with_name(args.out.name + ".png"))


def read(text: str) -> tuple[str, list[dict]]:
    """Return the condition and the systems of ``CONDITION=FILE``."""
    condition, equals, name = text.partition("=")
    if not (condition and equals and name):
        raise InputError(f"--reports {text}: write it as CONDITION=FILE")
    try:
        return condition, json.loads(Path(name).read_text(encoding="utf-8"))["systems"]
    except FileNotFoundError:
        raise InputError(f"{name} does not exist: run stage 8: {command_of(8)}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{name} is not a report.json: run stage 8 again: {command_of(8)}"
        ) from None


if __name__ == "__main__":
    run(main)
