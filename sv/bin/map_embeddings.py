"""Draw maps of embeddings, one row for each set, with colours by speaker and by session.

t-SNE makes a map of each set separately; above 2,000 utterances, principal components are used
instead. So compare how the colours mix, not their places. Labels are used only for the colours.

Example (before and after positives from other recordings):
  python -m sv.bin.map_embeddings --utt2spk data/labels/test/utt2spk \\
      --utt2session data/labels/test/utt2session --out map.png \\
      before=scp:exp/base/embeddings/test.scp after=scp:exp/ssps/embeddings/test.scp
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, place, draw."""
    args = _parse(argv)
    from sv.data.labels import read_label_file
    from sv.errors import InputError
    from sv.kaldi.arks import load_vectors
    from sv.report.embedding_map import embedding_map, maps_figure
    from sv.report.plots import save

    maps = {}
    for given in args.sets:
        name, found, rspecifier = given.partition("=")
        if not (name and found and rspecifier):
            raise InputError(
                f"{given!r} is not NAME=RSPECIFIER, such as before=scp:embeddings/test.scp"
            )
        maps[name] = embedding_map(*load_vectors(rspecifier), seed=args.seed)
        if maps[name] is None:
            raise InputError(f"{rspecifier} has fewer than 4 embeddings: too few for a map")
    labels = [read_label_file(path) if path else None for path in (args.utt2spk, args.utt2session)]
    save(maps_figure(maps, *labels), args.out)
    print(f"{args.out}: {', '.join(f'{name} ({found.method})' for name, found in maps.items())}")


def _parse(argv: list[str] | None):
    p = parser(__doc__)
    p.add_argument("sets", nargs="+", metavar="NAME=RSPECIFIER", help="a title and embeddings")
    p.add_argument("--utt2spk", type=Path, help="speakers, for the colours by speaker")
    p.add_argument(
        "--utt2session",
        type=Path,
        help="sessions, for the colours by session; lines go to the middle of a session",
    )
    p.add_argument("--seed", type=SEED, default=0, help="seed of t-SNE")
    p.add_argument("--out", type=Path, required=True, help="picture to write, PNG")
    return p.parse_args(argv)


if __name__ == "__main__":
    run(main)
