"""Stage 6, baseline: unsupervised i-vectors of mean-normalised cepstra.

This baseline has no network and reads no labels: a Gaussian mixture and a factor analysis, learned
from the training set. It does not see the mean spectrum of an utterance, which holds much of the
channel. A network that is not better has learned less than was possible before networks. The
program embeds the training set too, so that scores can be whitened (score.sh --whiten).

Example:
  python -m sv.bin.embed_ivectors --train data/train --data data/test --out exp/ivector/embeddings
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import COUNT, SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, learn, embed, write."""
    p = parser(__doc__)
    p.add_argument("--train", type=Path, required=True, help="data directory to learn from")
    p.add_argument("--data", type=Path, required=True, help="data directory to embed")
    p.add_argument(
        "--gaussians",
        type=COUNT,
        default=64,
        help="Gaussians of the background model. Published systems have 2,048 and hundreds of "
        "hours; time grows in proportion",
    )
    p.add_argument(
        "--rank",
        type=COUNT,
        default=100,
        help="length of an i-vector; published 400. It must not exceed the number of utterances",
    )
    p.add_argument("--seed", type=SEED, default=0, help="seed of the first Gaussians and loadings")
    p.add_argument(
        "--out", type=Path, required=True, help="folder: writes OUT/<name of data>.{ark,scp}"
    )
    args = p.parse_args(argv)

    from sv.data.feature_preset import refuse_two_presets
    from sv.errors import InputError
    from sv.inference.cepstra import normalised_frames
    from sv.inference.ivector import IVectors
    from sv.kaldi.arks import ArkWriter, read_matrix, read_paths
    from sv.progress import progress

    refuse_two_presets(args.data, args.train)
    sets = {data: read_paths(data / "feats.scp") for data in (args.train, args.data)}
    if args.rank > len(sets[args.train]):
        raise InputError(
            f"--rank {args.rank}: there are {len(sets[args.train])} training utterances; give less"
        )
    training = [
        normalised_frames(read_matrix(place))
        for place in progress(sets[args.train].values(), desc="cepstra", unit="utt")
    ]
    model = IVectors.fit(training, args.gaussians, args.rank, seed=args.seed)
    for data, places in sets.items():
        args.out.mkdir(parents=True, exist_ok=True)
        stem = args.out / data.name
        with ArkWriter(f"{stem}.ark", f"{stem}.scp") as writer:
            for name, place in progress(places.items(), desc=data.name, unit="utt"):
                writer.write(name, model.embed(normalised_frames(read_matrix(place))))
        print(f"{len(places):,} i-vectors in {stem}.ark")


if __name__ == "__main__":
    run(main)
