"""Fetch the cleaned trial lists of VoxCeleb1 over https, and check them.

They are tables of file names, published with the corpus (CC BY 4.0). The audio itself is not
fetched: it is given out on request.

Example:
  python fetch_trials.py --lists "o e h" --out corpus/trials
"""

from pathlib import Path

import voxceleb

from sv.cli import parser, run
from sv.corpora.download import download


def main(argv: list[str] | None = None) -> None:
    """Parse and fetch."""
    p = parser(__doc__)
    p.add_argument("--lists", default="o e h", help="some of o, e, h")
    p.add_argument("--out", type=Path, required=True, help="the folder for them")
    args = p.parse_args(argv)
    for name in voxceleb.list_names(args.lists):
        file, md5, _ = voxceleb.LISTS[name]
        urls = [place + file for place in voxceleb.LIST_PLACES]
        fetched = download(urls, args.out / file, f"md5:{md5}")
        print(f"{args.out / file}: {'fetched' if fetched else 'is there'}")


if __name__ == "__main__":
    run(main)
