"""List the room responses of RIRS_NOISES for augmentation (part of stage 2), by lhotse.

The program writes OUT/wav.scp, OUT/utt2kind (the part), OUT/utt2dur and lhotse's manifests.
sv.bin.make_banks --rir OUT makes a bank from them. A missing folder is an error here; lhotse alone
would treat it as an empty folder.

Example:
  python -m sv.bin.prepare_rirs --corpus /data/RIRS_NOISES --out data/rirs --max-rooms 10000
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.musan_rirs import RIR_PARTS, RIRS, fetch, prepare_rirs
from sv.numbers import NATURAL


def main(argv: list[str] | None = None) -> None:
    """Parse, download if asked, write, print a summary."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, required=True, help="the folder RIRS_NOISES")
    options.add_argument(
        "--out", type=Path, default=Path("data/rirs"), help="output folder for the lists"
    )
    options.add_argument(
        "--parts",
        nargs="+",
        default=["sim_rir"],
        metavar="PART",
        help=f"one or more of {', '.join(RIR_PARTS)}: the 60,000 simulated responses, as in the "
        "published systems, or the 325 measured ones, which are more realistic, but too few alone",
    )
    options.add_argument(
        "--max-rooms",
        type=NATURAL,
        default=0,
        help="number of rooms to take, spread evenly over all of them; 0: all. The bank is "
        "held in memory (8 kB per room at 40 mel bands, 16 kB at 80)",
    )
    options.add_argument(
        "--download",
        choices=["true", "false"],
        default="false",
        help=f"true: download {RIRS.url} ({RIRS.size}) if the folder --corpus does not exist",
    )
    args = options.parse_args(argv)
    if args.download == "true":
        fetch(RIRS, args.corpus)
    counts = prepare_rirs(args.corpus, args.out, parts=args.parts, max_rooms=args.max_rooms)
    print(f"{args.corpus} -> {args.out}: {', '.join(f'{n:,} {k}' for k, n in counts.items())}")


if __name__ == "__main__":
    run(main)
