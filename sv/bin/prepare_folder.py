"""Make data directories from any folder of audio (stage 0).

The shape of the folder tells the speakers (wav, flac, ogg, opus, mp3):

  CORPUS/[sub-corpus/]<speaker>/<session>/<utterance>.flac
  CORPUS/<speaker>/<utterance>.flac
  CORPUS/<utterance>.flac                no speakers: training, or trials by file name

Writes OUT/train (lhotse manifests and Kaldi files, no speaker in them), OUT/test if there are
trials, the true labels where known in OUT/labels/{train,test}, and OUT/bad_files if some files
cannot be read. Speakers that occur in the trials are left out of training.

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
    options.add_argument("--out", default="data", help="where train/, test/ and labels/ go")
    options.add_argument(
        "--trials",
        default="auto",
        help="list of '1 enrol.flac test.flac' lines (1 = same speaker, 0 = not); names are paths "
        "from the corpus folder or from the folder of the list, or utterance ids; tabs between "
        "the columns if names have spaces. auto: CORPUS/trials where it exists; none: no test set",
    )
    options.add_argument(
        "--train-list",
        help="train only on the files that this list names, one a line; default: on all that are "
        "not of a test speaker",
    )
    options.add_argument(
        "--layout",
        default="auto",
        choices=["auto", *LAYOUTS],
        help="what the last parts of a path mean; flat ignores folders. auto: by the depth of the "
        "files, which must then be the same for all (from 3 parts on, the upper ones are "
        "sub-corpora)",
    )
    options.add_argument(
        "--group-speakers",
        action="store_true",
        help="the same speaker name in two sub-corpora means two people. Leave it off where it "
        "can be one person (VoxCeleb's dev and test), or the guard between training and test "
        "speakers sees nothing",
    )
    options.add_argument(
        "--max-bad",
        type=SHARE,
        default=0.01,
        help="share of unreadable files to put up with; higher trains on what is left of a "
        "damaged copy, 0 stops at the first bad file. Audio in formats that are not read (m4a, "
        "sph, wma ...) counts as unreadable",
    )
    add_channel(options)
    return options


if __name__ == "__main__":
    run(main)
