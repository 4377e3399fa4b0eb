"""Stage 6, last part: join the pieces that jobs of sv.bin.embed wrote into one ark and scp.

The program reads PIECES/1.scp, PIECES/2.scp, ... and writes OUT.ark and OUT.scp in the same order,
which is the order of the data directory. All pieces must exist, and all vectors must be equally
long.

Example:
  python -m sv.bin.merge_embeddings --pieces exp/simclr/embeddings/test.pieces --num 4 \\
      --out exp/simclr/embeddings/test
"""

from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import COUNT


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and merge."""
    p = parser(__doc__)
    p.add_argument("--pieces", type=Path, required=True, help="folder of the pieces")
    p.add_argument(
        "--num", type=COUNT, required=True, help="number of pieces; their names are 1 to NUM"
    )
    p.add_argument("--out", required=True, help="path without ending: writes OUT.ark and OUT.scp")
    args = p.parse_args(argv)

    from sv.kaldi.arks import ArkWriter, load_embeddings

    length, count = None, 0
    with ArkWriter(f"{args.out}.ark", f"{args.out}.scp") as writer:
        for number in range(1, args.num + 1):
            ids, vectors = load_embeddings(f"scp:{args.pieces / str(number)}.scp")
            length = length or vectors.shape[1:]
            if vectors.shape[1:] != length:
                raise InputError(
                    f"{args.pieces}: piece {number} has embeddings of {_shown(vectors.shape[1:])} "
                    f"numbers, piece 1 of {_shown(length)}: were they made by one model? Embed "
                    "again"
                )
            for name, vector in zip(ids, vectors, strict=True):
                writer.write(name, vector)
            count += len(ids)
    print(f"{count:,} embeddings in {args.out}.ark")


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


if __name__ == "__main__":
    run(main)
