"""Stage 7, before scoring: learn to whiten embeddings from those of a training set, without labels.

The mean of the training set is subtracted, and every direction is scaled to equal variance. So a
cosine counts all directions of the embedding alike, and not only those of large variance. This can
lower the error rate or raise it: report the scores with and without it. sv.bin.score --whitening,
sv.bin.normalize_scores and sv.bin.package read the file.

Example:
  python -m sv.bin.whiten --embeddings scp:exp/simclr/embeddings/train.scp \\
      --out exp/simclr/whitening/train.safetensors
"""

from pathlib import Path
from typing import get_args

from sv.cli import parser, run
from sv.kaldi.arks import load_vectors
from sv.numbers import NATURAL, SHARE
from sv.scoring.whitening import Kind, Whitening


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, fit, write."""
    p = parser(__doc__)
    p.add_argument(
        "--embeddings",
        required=True,
        help="scp:FILE.scp or ark:FILE.ark of a training set, never the test set",
    )
    p.add_argument(
        "--whiten-kind",
        choices=get_args(Kind),
        default="zca",
        help="zca: keep all dimensions and move the vectors as little as possible; pca: sort "
        "dimensions by variance, so that --whiten-dim can drop the last ones. Without "
        "--whiten-dim both give the same cosines",
    )
    p.add_argument(
        "--whiten-shrinkage",
        type=SHARE,
        default=0.1,
        help="weight from 0 to 1 of equal variances in the covariance. With 0, directions of "
        "hardly any variance count as much as the others, and their noise too; with 1, only the "
        "mean is subtracted",
    )
    p.add_argument(
        "--whiten-dim",
        type=NATURAL,
        default=0,
        help="for pca: number of dimensions to keep, those of largest variance; 0 for all",
    )
    p.add_argument("--out", type=Path, required=True, help="file to write (.safetensors)")
    args = p.parse_args(argv)

    ids, vectors = load_vectors(args.embeddings)
    whitening = Whitening(args.whiten_kind, args.whiten_shrinkage, args.whiten_dim).fit(vectors)
    whitening.learned_from_ = {"embeddings": args.embeddings}
    whitening.save(args.out)
    before, after = whitening.projection_.shape
    print(
        f"whitening ({args.whiten_kind}) of {len(ids):,} utterances, {before} to {after} "
        f"dimensions, in {args.out}"
    )


if __name__ == "__main__":
    run(main)
