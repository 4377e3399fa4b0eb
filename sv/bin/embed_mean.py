"""Stage 6, baseline: the mean filterbank of each utterance as its embedding.

This baseline has no network and no training. A system that is not better has learned nothing. The
mean of a training set is subtracted. Otherwise all cosines would be near 1, because all mean
spectra point in about the same direction. Whitened means of cepstra (--cepstra 23, and score.sh
--whiten) are the stronger baseline: the floor that a table of results should show.

Example:
  python -m sv.bin.embed_mean --data data/test --center-on data/train \\
      --out exp/mean-fbank/embeddings/test
"""

from pathlib import Path

from sv.cli import parser, run
from sv.data.feature_preset import refuse_two_presets
from sv.inference.mean_filterbank import mean_features
from sv.kaldi.arks import ArkWriter, read_paths
from sv.numbers import NATURAL
from sv.scoring.system import evenly_spaced


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, average, write."""
    p = parser(__doc__)
    p.add_argument("--data", type=Path, required=True, help="data directory with feats.scp")
    p.add_argument(
        "--center-on",
        type=Path,
        required=True,
        help="data directory whose mean is subtracted; take a training set. Labels are not read",
    )
    p.add_argument(
        "--center-utterances",
        type=NATURAL,
        default=2000,
        help="number of utterances of --center-on that are averaged, spread over the list; "
        "0 for all. A hundred may be too few; more than thousands change nothing "
        "measurable",
    )
    p.add_argument(
        "--sample",
        type=NATURAL,
        default=0,
        metavar="N",
        help="average only N utterances of --data, spread over the list; 0 for all",
    )
    p.add_argument(
        "--cepstra",
        type=NATURAL,
        default=0,
        help="average cepstra 1 to N instead of filterbanks; 0: filterbanks. Fewer than the bands, "
        "23 for 80 bands, keep the shape of the spectrum without its detail",
    )
    p.add_argument(
        "--deviation",
        choices=["true", "false"],
        default="false",
        help="true: the standard deviations over frames follow the means",
    )
    p.add_argument("--out", required=True, help="path without ending: writes OUT.ark and OUT.scp")
    args = p.parse_args(argv)

    refuse_two_presets(args.data, args.center_on)
    kind = (args.cepstra, args.deviation == "true")
    features = read_paths(args.data / "feats.scp")
    features = {name: features[name] for name in evenly_spaced(list(features), args.sample)}
    training = list(read_paths(args.center_on / "feats.scp").values())
    mean = mean_features(
        evenly_spaced(training, args.center_utterances), f"mean of {args.center_on.name}", *kind
    ).mean(axis=0)
    vectors = mean_features(features.values(), f"means of {args.data.name}", *kind)
    with ArkWriter(f"{args.out}.ark", f"{args.out}.scp") as writer:
        for name, vector in zip(features, vectors, strict=True):
            writer.write(name, vector - mean)
    print(f"{len(features):,} embeddings in {args.out}.ark")


if __name__ == "__main__":
    run(main)
