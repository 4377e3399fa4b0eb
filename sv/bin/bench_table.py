"""Write the table of the bench: systems, floors and ceilings on the same trials, over seeds.

A system NAME has the scores EXP/NAME-SEED/scores/test of each seed, a floor EXP/NAME/scores/test.
The share of the distance says where a system stands between the best floor (0 %) and the best
ceiling (100 %). Differences are of means over seeds, with intervals over the same draws of
speakers. A difference counts if its interval does not contain 0 and if every seed has its sign.

Example:
  python -m sv.bin.bench_table --trials data/test/trials --utt2spk data/labels/test/utt2spk \\
      --exp exp --seeds 0 1 2 --against base --systems base mine --ceilings ceiling \\
      --floors untrained ivector --out exp/mine.md
"""

from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import RESAMPLES, SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, write."""
    p = parser(__doc__)
    p.add_argument("--trials", type=Path, required=True, help="trial list")
    p.add_argument("--utt2spk", type=Path, required=True, help="true speakers, for the intervals")
    p.add_argument("--exp", type=Path, required=True, help="folder of the experiments")
    p.add_argument("--seeds", type=SEED, nargs="+", required=True, help="seeds of the systems")
    p.add_argument(
        "--against", required=True, help="system from which differences are taken, often base"
    )
    p.add_argument("--systems", nargs="+", required=True, help="names of systems without labels")
    p.add_argument("--ceilings", nargs="*", default=[], help="systems that learn from labels")
    p.add_argument("--floors", nargs="*", default=[], help="systems without training of a network")
    p.add_argument("--resamples", type=RESAMPLES, default=1000, help="draws of speakers")
    p.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = p.parse_args(argv)

    from sv.data.labels import read_label_file
    from sv.data.speaker_groups import speaker_groups
    from sv.data.trials import read_trials
    from sv.files import atomic_write
    from sv.progress import progress
    from sv.report.bench import bench_rows, measure
    from sv.report.results_table import markdown_line

    lists = {"floor": args.floors, "system": args.systems, "ceiling": args.ceilings}
    kinds = {name: kind for kind, names in lists.items() for name in names}
    if args.against not in kinds:
        raise InputError(f"--against {args.against}: this system is in none of the lists")
    trials = read_trials(args.trials)
    groups = speaker_groups(trials, read_label_file(args.utt2spk))
    systems = {}
    for name in progress(kinds, desc="systems", unit="system"):
        folders = [name] if kinds[name] == "floor" else [f"{name}-{seed}" for seed in args.seeds]
        files = [args.exp / folder / "scores" / "test" for folder in folders]
        absent = [file for file in files if not file.exists()]
        if absent:
            raise InputError(f"{absent[0]}: no such scores; run the stages before this one")
        systems[name] = measure(files, trials, groups, args.resamples)
    header, *rows = bench_rows(systems, kinds, args.against)
    lines = [markdown_line(header), "|" + "---|" * len(header), *map(markdown_line, rows)]
    with atomic_write(args.out) as handle:
        handle.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    run(main)
