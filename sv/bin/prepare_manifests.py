"""Make a data directory from lhotse cuts of another recipe (stage 0).

CUTS is a file such as cuts.jsonl.gz with MonoCuts or MultiCuts. A supervision that is shorter than
its cut makes a shorter utterance. A cut with several supervisions becomes several utterances, which
get the ids of the supervisions. With --recordings, CUTS may also be supervisions, or cuts without
their recordings.

The program writes OUT (lhotse manifests and Kaldi files, without speakers). True speakers go to
labels/NAME beside OUT. An utterance is a span of a channel of a recording. Stage 1 reads only the
span, so no audio is copied. A MultiCut of all channels means their mean.

The manifests are read as text: commands and addresses in them are refused, not executed.

Example:
  python -m sv.bin.prepare_manifests --cuts ~/icefall/data/cuts_train.jsonl.gz --out data/train
"""

from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Read, write, print a summary."""
    p = parser(__doc__)
    p.add_argument("--cuts", type=Path, required=True, help="lhotse cuts (.jsonl.gz or .jsonl)")
    p.add_argument(
        "--recordings",
        type=Path,
        help="lhotse recordings, if the cuts do not hold theirs, or if --cuts are supervisions",
    )
    p.add_argument("--out", type=Path, required=True, help="data directory to write: data/train")
    p.add_argument("--trials", type=Path, help="list of trials between the utterances")
    p.add_argument(
        "--session",
        metavar="FIELD",
        help="custom field of the cuts or supervisions that names the session",
    )
    p.add_argument(
        "--group",
        metavar="FIELD",
        help="custom field that names the sub-corpus, such as a language",
    )
    args = p.parse_args(argv)

    from sv.corpora.foreign_cuts import genders_of, read_cuts, utterances_of
    from sv.corpora.prepared import write_prepared

    cuts = read_cuts(args.cuts, args.recordings)
    utterances = utterances_of(cuts, args.cuts, args.session, args.group)
    print(f"{args.cuts} -> {args.out}")
    print(write_prepared(args.out, utterances, args.trials, genders_of(cuts)))


if __name__ == "__main__":
    run(main)
