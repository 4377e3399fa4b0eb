"""Make data directories from any folder of audio (stage 0).

The layout of the folder gives the speakers (wav, flac, ogg, opus, mp3):

  CORPUS/[sub-corpus/]<speaker>/<session>/<utterance>.flac
  CORPUS/<speaker>/<utterance>.flac
  CORPUS/<utterance>.flac                no speakers: training, or trials by file name

The program writes OUT/train (lhotse manifests and Kaldi files, without speakers), and OUT/test if
there are trials. If the true labels are known, it writes them to OUT/labels/{train,test}. If some
files cannot be read, it lists them in OUT/bad_files. Speakers that occur in the trials are left out
of training.

Example:
  python -m sv.bin.prepare_folder --corpus ~/my_corpus --trials ~/my_corpus/trials --out data
"""

from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run
from sv.corpora import folder
from sv.corpora.folder_layout import LAYOUTS
from sv.numbers import SHARE


def main(argv: list[str] | None = None) -> int:
    """Scan, write, print a summary."""
    options = _parser().parse_args(argv)
    corpus, trials = Path(options.corpus), options.trials
    if trials == "auto":
        trials = corpus / "trials" if (corpus / "trials").is_file() else None
        if trials is not None:
            print(f"using the trials in {trials} (--trials none: train on everything)")
    elif trials == "none":
        trials = None
    found = folder.scan(
        corpus,
        trials,
        options.train_list,
        layout=options.layout,
        group_speakers=options.group_speakers,
        max_bad=options.max_bad,
        bad_files=Path(options.out) / "bad_files",
        channel=options.channel,
    )
    folder.write(found, options.out)
    print(f"{corpus} -> {options.out}")
    print(folder.summary(found))
    return 0


def _parser():
    options = parser(__doc__)
    options.add_argument("--corpus", required=True, help="the folder of audio")
    options.add_argument("--out", default="data", help="folder for train/, test/ and labels/")
    options.add_argument(
        "--trials",
        default="auto",
        help="list of '1 enrol.flac test.flac' lines (1 = same speaker, 0 = different "
        "speakers). Names are paths from the corpus folder or from the folder of "
        "the list, or utterance ids. If names have spaces, separate the columns by "
        "tabs. auto: CORPUS/trials if it exists; none: no test set",
    )
    options.add_argument(
        "--train-list",
        help="train only on the files in this list, one per line; default: all files "
        "except those of test speakers",
    )
    options.add_argument(
        "--layout",
        default="auto",
        choices=["auto", *LAYOUTS],
        help="meaning of the last parts of a path; flat ignores folders. auto decides by "
        "the depth of the files, which must then be the same for all. If a path has "
        "more parts than speaker, session and utterance, the upper parts are "
        "sub-corpora",
    )
    options.add_argument(
        "--group-speakers",
        action="store_true",
        help="the same speaker name in two sub-corpora means two people. Do not use this "
        "option if they can be one person (VoxCeleb's dev and test): the check for "
        "speakers that training and test share would find nothing",
    )
    options.add_argument(
        "--max-bad",
        type=SHARE,
        default=0.01,
        help="tolerated share of unreadable files. With a higher share you may train on "
        "the rest of a damaged copy; 0 stops at the first bad file. Audio in "
        "formats that cannot be read (m4a, sph, wma ...) counts as unreadable",
    )
    add_channel(options)
    return options


if __name__ == "__main__":
    run(main)
