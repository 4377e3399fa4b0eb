"""Stage 1, last part: join the pieces of sv.bin.extract_features into a data directory.

The program writes DATA/feats.scp, DATA/utt2num_frames, DATA/bad_utterances (id, path, reason;
separated by tabs) and DATA/feats_preset (the filterbank, sv.bin.extract_features --preset). With
--wave true it also writes DATA/wav_ark.scp and DATA/utt2num_samples. All files are sorted. Every
utterance of DATA/wav.scp must have features or be listed as bad. If DATA/trials exists, it must
not name a bad utterance. The other files of DATA stay unchanged.

Example:
  python -m sv.bin.merge_features --data data/train --pieces fbank/train --num 2
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import COUNT, SHARE


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and merge."""
    p = parser(__doc__)
    p.add_argument("--data", type=Path, required=True, help="data directory with wav.scp")
    p.add_argument("--pieces", type=Path, required=True, help="folder of the pieces")
    p.add_argument(
        "--num", type=COUNT, required=True, help="number of pieces; their names are 1 to NUM"
    )
    p.add_argument(
        "--max-bad",
        type=SHARE,
        default=0.01,
        help="tolerated share of bad utterances, which are left out. A higher share may "
        "hide a broken copy of the corpus; 0 stops at the first bad utterance",
    )
    p.add_argument(
        "--wave",
        choices=["true", "false"],
        default="false",
        help="the same value as for the jobs; false removes the list of an earlier run's waveforms",
    )
    p.add_argument(
        "--exclude",
        type=Path,
        help="list of utterances to leave out, by id or path, as `sv doctor` writes it; they do "
        "not count as bad",
    )
    args = p.parse_args(argv)

    from sv.audio.problems import read_exclude
    from sv.data.extraction import merge_pieces

    wave, exclude = args.wave == "true", read_exclude(args.exclude)
    print(merge_pieces(args.data, args.pieces, args.num, args.max_bad, wave, exclude))


if __name__ == "__main__":
    run(main)
