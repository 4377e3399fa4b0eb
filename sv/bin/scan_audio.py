"""Read the headers of listed audio files, after converting some of them (part of stage 0).

The list has lines "<id> <path>". ffmpeg converts the files that libsndfile cannot read (m4a, aac,
mp4, ...) to 16 kHz, one channel, 16 bit. It writes them below --converted; each file keeps its path
relative to --root. A converted file that exists is complete and is not made again. The program
writes a table with all facts about each file that a data directory needs, and with the bad files
and their reasons.

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
    options.add_argument("--out", required=True, help="table to write")
    options.add_argument(
        "--root", default="/", help="folder whose subfolders are kept below --converted"
    )
    options.add_argument(
        "--converted",
        type=Path,
        default=Path("converted"),
        help="output folder for converted files",
    )
    options.add_argument(
        "--format",
        default="flac",
        choices=FORMATS,
        help="format of converted files; the samples are the same. For read speech, flac "
        "took 0.7 times the space of wav, but writing and reading take longer",
    )
    options.add_argument(
        "--force",
        choices=["true", "false"],
        default="false",
        help="true: read all headers again; converted files are kept",
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
        print(f"{args.out}: {len(found.good):,} files, and {len(found.bad):,} bad files")


if __name__ == "__main__":
    run(main)
