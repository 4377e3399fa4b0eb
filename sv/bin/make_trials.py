"""Make a list of trials from a labelled set: pairs of utterances of one speaker, or of two.

Give what is known: with --across, targets are of two sessions, because within a session the channel
gives the speaker away; with --same, non-targets are of one sex, language or corpus, because
recognising that must not help. The same labels and options give the same list. A list made from
clusters (--utt2cluster) has pseudo-labels: its error rate says how well a system finds the
clusters again.

Example:
  python -m sv.bin.make_trials --utt2spk data/labels/test/utt2spk \\
      --across data/labels/test/utt2session --same data/labels/test/utt2group \\
      --number 4000 --out data/test/trials
"""

from argparse import ArgumentParser
from pathlib import Path

from sv.cli import parser, run
from sv.data.labels import read_label_file
from sv.data.trial_design import make_trials
from sv.data.trial_labels import labelled
from sv.data.trials import Trials, write_trials
from sv.errors import InputError
from sv.kaldi.arks import read_scp
from sv.numbers import COUNT, SEED


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("--utt2spk", type=Path, metavar="FILE", help="true speakers")
    p.add_argument(
        "--utt2cluster",
        type=Path,
        metavar="FILE",
        help="clusters in the place of speakers, if there are no true ones",
    )
    p.add_argument(
        "--across",
        type=Path,
        metavar="FILE",
        help="utt2session: target pairs are of two sessions",
    )
    p.add_argument(
        "--same",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="table '<utterance> <value>', such as sex or corpus: non-target pairs have the same "
        "value; the option can be repeated",
    )
    p.add_argument(
        "--only",
        type=Path,
        metavar="FILE",
        help="take only the utterances in the first column of this file, such as data/test/wav.scp",
    )
    p.add_argument(
        "--pairs",
        choices=["balanced", "all"],
        default="balanced",
        help="balanced: equally many targets and non-targets of each speaker, so that no speaker "
        "decides the error rate; all: every pair",
    )
    p.add_argument(
        "--number",
        type=COUNT,
        help="number of trials (default: as many as there are); with balanced half of them are "
        "targets, and all speakers have about equally many. Some thousands are enough: the number "
        "of speakers limits what a list can show",
    )
    p.add_argument("--seed", type=SEED, default=0, help="another seed draws other trials")
    p.add_argument("--out", type=Path, required=True, help="the trial list to write")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, draw, write."""
    args = options().parse_args(argv)
    if (args.utt2spk is None) == (args.utt2cluster is None):
        raise InputError("give one of --utt2spk and --utt2cluster: trials need to know who speaks")
    source = args.utt2spk or args.utt2cluster
    only = None if args.only is None else list(read_scp(args.only))
    tables = [read_label_file(path) for path in args.same]
    sessions = None if args.across is None else read_label_file(args.across)
    utterances = labelled(read_label_file(source), sessions, tables, only)
    trials = Trials.of(args.out, make_trials(utterances, args.pairs, args.number, args.seed))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_trials(args.out, trials)
    kind = "speakers" if args.utt2spk else "clusters"
    print(
        f"{len(trials):,} trials, {int(trials.labels.sum()):,} of them target, of "
        f"{len({one.speaker for one in utterances}):,} {kind} in {args.out}"
    )


if __name__ == "__main__":
    run(main)
