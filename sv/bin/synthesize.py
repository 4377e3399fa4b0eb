"""Make the mini corpus: synthetic English speech of synthetic speakers in changing channels.

The program writes <out>/<train|test>/<speaker>/<session>/<utterance>.wav (16 kHz, 16 bit, mono),
the tables speakers.tsv, sessions.tsv and utterances.tsv, and trials. The same seed and sizes give
the same files, bit for bit, in one job or many. Existing files are kept, so you can start an
interrupted job again. The program needs praat-parselmouth (the extra [mini]).

Example, half of the corpus:
  python -m sv.bin.synthesize --out corpus --job 1 --num-jobs 2
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.mini_speech import Settings, make_files, plan
from sv.corpora.mini_tables import check_same_settings, write_tables
from sv.errors import InputError
from sv.numbers import COUNT, SEED
from sv.progress import progress


def main(argv: list[str] | None = None) -> None:
    """Parse the options and make this job's share of the corpus."""
    options = _parser().parse_args(argv)
    if not 1 <= options.job <= options.num_jobs:
        raise InputError(f"--job {options.job}: must be between 1 and --num-jobs")
    settings = Settings(
        seed=options.seed,
        train_speakers=options.train_speakers,
        test_speakers=options.test_speakers,
        sessions=options.sessions,
        utterances=options.utterances,
        channels=options.channels,
    )
    again = options.force == "true"
    check_same_settings(options.out, settings, again)
    utterances = plan(settings)
    share = utterances[options.job - 1 :: options.num_jobs]
    files = make_files(share, options.out, settings.seed, again)
    for _ in progress(files, total=len(share), desc="speech", unit="utt"):
        pass
    if options.job == 1:
        write_tables(options.out, utterances, settings.seed)


def _parser():
    options = parser(__doc__)
    options.add_argument("--out", type=Path, required=True, help="folder of the corpus, to write")
    options.add_argument(
        "--seed",
        type=SEED,
        default=Settings.seed,
        help="another seed gives other speakers, sentences, channels and trials",
    )
    options.add_argument(
        "--train-speakers",
        type=COUNT,
        default=Settings.train_speakers,
        help="number of training speakers, even; with fewer than about 40, a model has too "
        "little to learn from",
    )
    options.add_argument(
        "--test-speakers",
        type=COUNT,
        default=Settings.test_speakers,
        help="number of test speakers, even and at least 4; with fewer than about 20, the "
        "error rate depends on who they are",
    )
    options.add_argument(
        "--sessions",
        type=COUNT,
        default=Settings.sessions,
        help="number of sessions of each speaker, each with its own channel; at least 2, "
        "because trials compare sessions",
    )
    options.add_argument(
        "--utterances",
        type=COUNT,
        default=Settings.utterances,
        help="number of utterances of each session, 2.5 to 6 seconds each; time and disk "
        "space grow in proportion",
    )
    options.add_argument(
        "--channels",
        choices=["easy", "hard"],
        default=Settings.channels,
        help="easy: sessions differ in room, band and noise, which augmentation draws as well; "
        "hard: they also differ in what it does not draw (distance, equaliser, compression, "
        "distortion, clipping, sampling rate, codec, lost packets) and in rate, pitch, pitch "
        "range and effort of the speaker",
    )
    options.add_argument("--job", type=COUNT, default=1, help="number of the share to make, from 1")
    options.add_argument("--num-jobs", type=COUNT, default=1, help="number of shares")
    options.add_argument(
        "--force",
        choices=["true", "false"],
        default="false",
        help="true: make existing files again; a corpus with other settings is removed first",
    )
    return options


if __name__ == "__main__":
    run(main)
