"""After stage 1: hold some speakers out of the training set, as a development set with trials.

The program writes OUT/train (the training set without them) and OUT/dev with OUT/dev/trials, which
are balanced, across sessions and within groups if these are known. DATA stays as it is. A training
logs the error rate of OUT/dev (sv.bin.train --dev OUT), a calibration may be fitted on it, and
settings may be chosen by it. The test list is for none of this.

With --utt2spk the choice and the trials use true speakers, and every training on OUT/train is
marked. With --utt2cluster, from stage 4 of an earlier experiment, speakers are pseudo-speakers; the
error rate then says how well a network finds these clusters again, and no true label is used.

Example:
  python -m sv.bin.hold_out --data data/train --utt2spk data/labels/train/utt2spk --speakers 20 \\
      --out data/dev20
"""

from argparse import ArgumentParser
from pathlib import Path

from sv.cli import parser, run
from sv.data.held_out import hold_out
from sv.data.labels import read_label_file
from sv.errors import InputError
from sv.numbers import COUNT, SEED


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("--data", type=Path, required=True, help="data directory of the training set")
    p.add_argument(
        "--utt2spk",
        type=Path,
        metavar="FILE",
        help="true speakers; utt2session and utt2group beside it are used, too",
    )
    p.add_argument("--utt2cluster", type=Path, metavar="FILE", help="pseudo-speakers instead")
    p.add_argument(
        "--speakers",
        type=COUNT,
        required=True,
        help="number of speakers to hold out. Below ten, the error rate says little; what is held "
        "out is lost to training",
    )
    p.add_argument(
        "--trials",
        type=COUNT,
        default=4000,
        help="number of trials, at most; more do not replace more speakers",
    )
    p.add_argument("--seed", type=SEED, default=0, help="of the choice of speakers and of trials")
    p.add_argument("--out", type=Path, required=True, help="folder to write")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, choose, write."""
    args = options().parse_args(argv)
    if (args.utt2spk is None) == (args.utt2cluster is None):
        raise InputError("give one of --utt2spk and --utt2cluster: who speaks in the training set?")
    labels = args.utt2spk or args.utt2cluster
    beside = [None, None]
    if args.utt2spk is not None:
        paths = [labels.with_name(name) for name in ("utt2session", "utt2group")]
        beside = [read_label_file(path) if path.exists() else None for path in paths]
    found, utterances, trials = hold_out(
        args.data,
        args.out,
        read_label_file(labels),
        labels="speakers" if args.utt2spk else "clusters",
        count=args.speakers,
        seed=args.seed,
        number=args.trials,
        sessions=beside[0],
        groups=beside[1],
    )
    kind = "true speakers" if found.labels == "speakers" else "clusters as pseudo-speakers"
    print(
        f"development set: {found.speakers} {kind}, {utterances:,} utterances, {trials:,} trials "
        f"in {args.out}/dev; the training set without them is {args.out}/train"
    )


if __name__ == "__main__":
    run(main)
