"""Make a data directory from one of Kaldi's (stage 0).

DIR has wav.scp. It may have segments, utt2spk, spk2gender, reco2file_and_channel and trials. The
program writes OUT (lhotse manifests and Kaldi files, without speakers). True speakers go to
labels/NAME beside OUT, where only scoring and supervised recipes read them.

With segments, an utterance is a span of a recording. Stage 1 reads only the span, so no audio is
copied. With reco2file_and_channel, a recording is one channel of its file: A is the first channel.

wav.scp may have no commands ("sph2pipe ... |"), because data files are never executed here. The
message about a command says how to write the files yourself.

Example:
  python -m sv.bin.prepare_kaldi ~/kaldi/egs/callhome/data/train --out data/train
"""

from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Read, write, print a summary."""
    p = parser(__doc__)
    p.add_argument("dir", metavar="DIR", type=Path, help="Kaldi's data directory, with wav.scp")
    p.add_argument("--out", type=Path, required=True, help="data directory to write: data/train")
    p.add_argument(
        "--trials",
        default="auto",
        help="list of trials, in Kaldi's form or '1|0 enrol test'. auto: DIR/trials if it exists; "
        "none: no trials",
    )
    args = p.parse_args(argv)

    from sv.corpora.prepared import write_prepared
    from sv.data.kaldi_dirs import from_kaldi_dir
    from sv.kaldi.tables import read_dict

    trials = None if args.trials == "none" else Path(args.trials)
    if args.trials == "auto":
        trials = args.dir / "trials" if (args.dir / "trials").exists() else None
    genders = {}
    if (args.dir / "spk2gender").exists():
        genders = read_dict(args.dir / "spk2gender", expected="<speaker> <m|f>", one_word=True)
    utterances = from_kaldi_dir(args.dir)
    print(f"{args.dir} -> {args.out}")
    print(write_prepared(args.out, utterances, trials, genders))


if __name__ == "__main__":
    run(main)
