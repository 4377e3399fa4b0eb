"""Stage 7, before scoring: train LDA and PLDA on the embeddings of a training set.

The mean is subtracted, LDA keeps the directions that separate speakers, rows are scaled to one
length, and EM fits a two-covariance model. sv.bin.score --plda then gives log-likelihood ratios.

PLDA needs labels. With pseudo-labels (the clusters of stage 4) a recipe stays self-supervised; with
true speakers it does not. The model records the kind of its labels, and every score file made with
it is marked.

Example:
  python -m sv.bin.plda --embeddings scp:exp/dino/embeddings/train.scp \\
      --utt2cluster exp/dino/clusters/utt2cluster --out exp/dino/plda/plda.safetensors
"""

from pathlib import Path

from sv.cli import parser, run
from sv.kaldi.arks import load_vectors
from sv.numbers import COUNT
from sv.scoring.plda import PLDA
from sv.scoring.system import labels_of


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, fit, write."""
    p = parser(__doc__)
    p.add_argument("--embeddings", required=True, help="scp:FILE.scp or ark:FILE.ark")
    labels = p.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--utt2cluster", metavar="FILE", help="pseudo-labels: a cluster for each utterance"
    )
    labels.add_argument(
        "--utt2spk", metavar="FILE", help="true speakers; the result is then not self-supervised"
    )
    p.add_argument(
        "--lda-dim",
        type=COUNT,
        default=150,
        help="number of dimensions to keep; below the number of speakers and of "
        "embedding dimensions. With fewer, speaker information is lost; with more, "
        "more training data are needed. A third of the dimensions is a usual start",
    )
    p.add_argument(
        "--iterations",
        type=COUNT,
        default=20,
        help="number of iterations of EM. It starts near the optimum: 10 are usually "
        "enough, and more do no harm",
    )
    p.add_argument("--out", type=Path, required=True, help="model file to write (.safetensors)")
    args = p.parse_args(argv)

    ids, vectors = load_vectors(args.embeddings)
    kind, path = ("speakers", args.utt2spk) if args.utt2spk else ("clusters", args.utt2cluster)
    plda = PLDA(args.lda_dim, args.iterations)
    plda.fit(vectors, labels_of(ids, path, args.embeddings), kind).save(args.out)
    history = plda.log_likelihoods_
    if history:
        print(f"log-likelihood per utterance: first {history[0]:.4f}, last {history[-1]:.4f}")
    print(f"PLDA of {len(ids):,} utterances, labelled by {kind}, in {args.out}")


if __name__ == "__main__":
    run(main)
