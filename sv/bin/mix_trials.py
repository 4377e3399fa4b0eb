"""Stage 2: make adverse trials: the trials of a test set, with another person speaking over them.

The program writes a data directory with the same trials, in which the test side (or both sides) is
mixed with an utterance of somebody else at --snr dB. It also writes the audio of the mixtures, and
their true speakers for intervals. An interferer is never one of the trial's speakers, so the true
speakers of the test set are read. Trials are scoring data and are never used in training. The list
and the seed determine everything, so lists at several levels differ only in the level.

Example:
  python -m sv.bin.mix_trials --data data/test --labels data/labels/test --snr 5 \\
      --audio mixtures/test_5db --out data/test_5db --out-labels data/labels/test_5db
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import DECIBELS, SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, plan, mix, write."""
    p = parser(__doc__)
    p.add_argument("--data", type=Path, required=True, help="data directory of the test set")
    p.add_argument(
        "--labels", type=Path, required=True, help="folder with the true utt2spk of the test set"
    )
    p.add_argument("--trials", type=Path, help="trial list; default: DATA/trials")
    p.add_argument(
        "--snr",
        type=DECIBELS,
        required=True,
        help="level of the speaker relative to the interferer, in dB",
    )
    p.add_argument(
        "--sides",
        choices=["test", "both"],
        default="test",
        help="sides of the trials that are mixed. both is harder: two different people interfere",
    )
    p.add_argument("--seed", type=SEED, default=0, help="another seed draws other interferers")
    p.add_argument("--audio", type=Path, required=True, help="output folder for the mixtures, FLAC")
    p.add_argument("--out", type=Path, required=True, help="data directory to write")
    p.add_argument(
        "--out-labels", type=Path, required=True, help="output folder for the true speakers"
    )
    args = p.parse_args(argv)

    from sv.corpora.adverse_trials import plan, write_mixture
    from sv.data.labels import read_label_file
    from sv.data.manifests import read_data_dir, write_data_dir
    from sv.data.trials import read_trials
    from sv.progress import progress

    utterances = read_data_dir(args.data, args.labels)
    speakers = read_label_file(args.labels / "utt2spk")
    sources = {each.id: each for each in utterances}
    read = read_trials(args.trials or args.data / "trials")
    labels = read.require_both_classes()
    read.rows_of(sources, str(args.data))
    trials = [
        (int(label), read.names[enrol], read.names[test])
        for label, enrol, test in zip(labels, read.enrol, read.test, strict=True)
    ]
    known = {name: speakers[name] for name in sources if name in speakers}
    planned = plan(trials, known, sides=args.sides, seed=args.seed)
    mixed = [
        write_mixture(mixture, sources, args.audio, args.snr, args.seed)
        for mixture in progress(planned.mixtures, desc="mixtures", unit="utt")
    ]
    named = {name for _, *pair in planned.trials for name in pair}
    alone = [each for each in utterances if each.id in named]
    write_data_dir(args.out, [*alone, *mixed], planned.trials, args.out_labels)
    print(
        f"{len(planned.trials):,} trials in {args.out}: {len(mixed):,} mixtures at {args.snr:g} dB "
        f"on {'the test side' if args.sides == 'test' else 'both sides'}"
    )


if __name__ == "__main__":
    run(main)
