"""List the noises, music and speech of MUSAN for augmentation (part of stage 2), by lhotse.

The program writes OUT/wav.scp, OUT/utt2kind (noise, music or speech), OUT/utt2dur and lhotse's
manifests. sv.bin.make_banks --noise OUT makes a bank from them. A missing folder is an error here;
lhotse alone would treat it as an empty folder.

Example:
  python -m sv.bin.prepare_musan --corpus /data/musan --out data/musan
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.musan_rirs import MUSAN, fetch, prepare_musan


def main(argv: list[str] | None = None) -> None:
    """Parse, download if asked, write, print a summary."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, required=True, help="the folder musan")
    options.add_argument(
        "--out", type=Path, default=Path("data/musan"), help="output folder for the lists"
    )
    options.add_argument(
        "--babble",
        choices=["musan", "training"],
        default="musan",
        help="source of background voices: the speech of MUSAN, or other training "
        "utterances (for a copy of MUSAN without speech)",
    )
    options.add_argument(
        "--download",
        choices=["true", "false"],
        default="false",
        help=f"true: download {MUSAN.url} ({MUSAN.size}) if the folder --corpus does not exist",
    )
    args = options.parse_args(argv)
    if args.download == "true":
        fetch(MUSAN, args.corpus)
    counts = prepare_musan(args.corpus, args.out, babble=args.babble)
    print(f"{args.corpus} -> {args.out}: {', '.join(f'{n:,} {k}' for k, n in counts.items())}")


if __name__ == "__main__":
    run(main)
