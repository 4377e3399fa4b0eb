"""Make data directories from the mini corpus (stage 0) that sv.bin.synthesize wrote.

The program writes OUT/train and OUT/test (lhotse manifests and Kaldi files, without speakers;
trials in OUT/test). It writes the true labels to
OUT/labels/{train,test}/{utt2spk,utt2session,utt2group}; the group is the speaker's sex.

Example:
  python -m sv.bin.prepare_mini --corpus corpus --out data
"""

from pathlib import Path

from sv.cli import parser, run
from sv.corpora.mini_corpus import prepare


def main(argv: list[str] | None = None) -> None:
    """Parse, write, print a summary."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, required=True, help="folder of the mini corpus")
    options.add_argument(
        "--out", type=Path, default=Path("data"), help="output folder for the data directories"
    )
    args = options.parse_args(argv)
    for name, utterances in prepare(args.corpus, args.out).items():
        speakers = {one.speaker for one in utterances}
        hours = sum(one.duration for one in utterances) / 3600
        print(
            f"{args.out / name}: {len(utterances):,} utterances of {len(speakers)} speakers, "
            f"{hours:.2f} h"
        )


if __name__ == "__main__":
    run(main)
