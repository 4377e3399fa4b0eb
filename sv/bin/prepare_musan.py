"""List the noises, music and speech of MUSAN for augmentation (part of stage 2), by lhotse.

Writes OUT/wav.scp, OUT/utt2kind (noise, music or speech), OUT/utt2dur and lhotse's manifests;
sv.bin.make_banks --noise OUT makes a bank of them. A folder that is missing is an error: lhotse
would take it for an empty one.

Example:
  python -m sv.bin.prepare_musan --corpus /data/musan --out data/musan
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.musan_rirs import MUSAN, fetch, prepare_musan


def main(argv: list[str] | None = None) -> None:
    """Parse, fetch if asked, write, print a summary."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, required=True, help="the folder musan")
    options.add_argument("--out", type=Path, default=Path("data/musan"), help="where the lists go")
    options.add_argument(
        "--babble",
        choices=["musan", "training"],
        default="musan",
        help="where voices in the background come from: the speech of MUSAN, or (for a copy "
        "without it) other training utterances",
    )
    options.add_argument(
        "--download",
        choices=["true", "false"],
        default="false",
        help=f"fetch {MUSAN.url} ({MUSAN.size}) if there is no --corpus",
    )
    args = options.parse_args(argv)
    if args.download == "true":
        fetch(MUSAN, args.corpus)
    counts = prepare_musan(args.corpus, args.out, babble=args.babble)
    print(f"{args.corpus} -> {args.out}: {', '.join(f'{n:,} {k}' for k, n in counts.items())}")


if __name__ == "__main__":
    run(main)
