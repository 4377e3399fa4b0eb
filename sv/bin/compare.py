"""Compare methods: one table of error rates, seconds a step and memory, in the order of EER.

The experiments must be tested on one trial list. For a fair comparison, train all with the same
encoder and the same number of updates (egs/custom/local/compare_methods.sh does that).

Example:
  python -m sv.bin.compare --out methods.md --exp exp/simclr-0 exp/dino-0 exp/sdpn-0
"""

from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the table."""
    p = parser(__doc__)
    p.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    p.add_argument(
        "--exp",
        type=Path,
        nargs="+",
        required=True,
        help="experiment folders with a report of stage 8",
    )
    args = p.parse_args(argv)

    from sv.files import atomic_write
    from sv.report.comparison import comparison_rows
    from sv.report.results_table import markdown_line

    header, *rows = comparison_rows(args.exp)
    lines = [markdown_line(header), "|" + "---|" * len(header), *map(markdown_line, rows)]
    with atomic_write(args.out) as handle:
        handle.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    run(main)
