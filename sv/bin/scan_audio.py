"""Read the headers of listed audio files, after converting those that need it (part of stage 0).

The list has lines "<id> <path>". Files that libsndfile cannot read (m4a, aac, mp4, ...) are
converted by ffmpeg to 16 kHz, one channel, 16 bit, below --converted, where each keeps its path
from --root; a converted file that is there is whole, and is not made again. The table that is
written has what a data directory needs to know of each file, and the bad files with their reasons.

Example:
  python -m sv.bin.scan_audio --scp lists/voxceleb2-dev.1.scp --root voxceleb2/dev/aac \\
      --converted corpus/voxceleb2-dev --out lists/voxceleb2-dev.1.tsv
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.convert import FORMATS
from sv.corpora.scan import scan_piece


def main(argv: list[str] | None = None) -> None:
    """Parse, scan, print a summary."""
    options = parser(__doc__)
    options.add_argument("--scp", required=True, help="list of '<id> <path>' lines")
    options.add_argument("--out", required=True, help="the table")
    options.add_argument(
        "--root", default="/", help="folder whose subfolders are kept below --converted"
    )
    options.add_argument(
        "--converted", type=Path, default=Path("converted"), help="where converted files go"
    )
    options.add_argument(
        "--format",
        default="flac",
        choices=FORMATS,
        help="of converted files; the samples are the same; flac took 0.7 times the space of wav "
        "for read speech, and takes longer to write and to read",
    )
    options.add_argument(
        "--force",
        choices=["true", "false"],
        default="false",
        help="read all headers again; what is converted is kept",
    )
    args = options.parse_args(argv)
    found = scan_piece(
        args.scp,
        args.out,
        root=args.root,
        converted=args.converted,
        audio_format=args.format,
        force=args.force == "true",
    )
    if found is None:
        print(f"{args.out}: complete")
    else:
        print(f"{args.out}: {len(found.good):,} files, and {len(found.bad):,} that are bad")


if __name__ == "__main__":
    run(main)
