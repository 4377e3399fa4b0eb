"""Compare settings over seeds: mean ± deviation, the best in bold, and what is more than chance.

Experiments that differ only in their seed form one row. A paired test over seeds and speakers
compares each row with the best one. Columns show the settings in which rows differ. The program
warns if the rows have had unequal budgets: updates, crops, hours of speech.

The formats are text, Markdown, LaTeX and CSV, and a page (HTML) with pictures and all runs.

Examples:
  sv table exp/*
  sv table exp/margins/* --out exp/margins.md exp/margins.tex exp/margins.html
"""

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path

from sv.cli import parser, run
from sv.numbers import PRIOR, RESAMPLES, SEED

FORMATS = ("text", "markdown", "latex", "csv")


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument(
        "experiments",
        type=Path,
        nargs="+",
        metavar="EXP",
        help="experiment folders with scores of stage 7; other files and folders are left out",
    )
    p.add_argument(
        "--data",
        type=Path,
        default=Path("data/test"),
        metavar="DIR",
        help="data directory that was scored: its trials, and labels/<name> beside it",
    )
    p.add_argument("--trials", type=Path, help="trial list, if not <data>/trials")
    p.add_argument(
        "--name", help="file in <exp>/scores, if it does not have the name of the data directory"
    )
    p.add_argument(
        "--p-target",
        type=PRIOR,
        nargs="+",
        default=[0.01, 0.05],
        help="priors for minDCF; with a small prior, false alarms count more",
    )
    p.add_argument(
        "--resamples",
        type=RESAMPLES,
        default=1000,
        help="number of draws of speakers and seeds for the test; 0: no test",
    )
    p.add_argument("--seed", type=SEED, default=0, help="seed of these draws")
    p.add_argument("--format", choices=FORMATS, default="text", help="what is printed")
    p.add_argument(
        "--out",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="files to write, too; the ending gives the format: .txt .md .tex .csv .html",
    )
    p.add_argument("--title", help="of the page; default: the folder of the experiments")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print, write."""
    args = options().parse_args(argv)

    from sv.report.settings_compared import compare_settings, write_table
    from sv.report.table_formats import FORMATS as WRITERS

    found = compare_settings(
        args.experiments,
        trials=args.trials or args.data / "trials",
        labels=args.data.parent / "labels" / args.data.name / "utt2spk",
        scores=args.name or args.data.name,
        p_targets=list(dict.fromkeys(args.p_target)),
        resamples=args.resamples,
        seed=args.seed,
    )
    end = "\n" if args.format == "text" else ""
    print(WRITERS[args.format](found.table.cells, found.table.bold), end=end)
    for line in [f"warning: {text}" for text in found.table.warnings] + found.table.notes:
        print(line, file=sys.stderr if args.format != "text" else sys.stdout)
    if found.left_out:
        names = ", ".join(str(path) for path in found.left_out)
        print(f"left out, without scores/{args.name or args.data.name}: {names}", file=sys.stderr)
    command = f"sv table {shlex.join(sys.argv[1:] if argv is None else argv)}"
    for path in args.out:
        write_table(found, path, args.title, command)
        print(f"table: {path}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
