"""Download one file over https: continue after an interruption, and check the file.

The bytes that have arrived are kept beside the target as .<name>.part. The file gets the name of
the target only if its checksum is right. Without --checksum an interrupted download starts again
from the first byte, because one could not check that two parts fit together. A file that exists
already is kept.

Example:
  python -m sv.bin.download --out corpus/musan.tar.gz \\
      --checksum md5:0c472d4fc0c5141eca47ad1ffeb2a7df \\
      --url https://www.openslr.org/resources/17/musan.tar.gz
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.download import download
from sv.files import digest


def main(argv: list[str] | None = None) -> None:
    """Parse, fetch, print the SHA-256."""
    options = parser(__doc__)
    options.add_argument(
        "--url",
        nargs="+",
        required=True,
        help="address of the file; further addresses are mirrors, tried in turn",
    )
    options.add_argument("--out", type=Path, required=True, help="the file to write")
    options.add_argument("--checksum", help="<algorithm>:<hexadecimal digits> of the complete file")
    args = options.parse_args(argv)
    fetched = download(args.url, args.out, args.checksum)
    print(f"{args.out}: {'downloaded' if fetched else 'exists already'}, sha256 {digest(args.out)}")


if __name__ == "__main__":
    run(main)
