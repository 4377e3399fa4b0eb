"""Stage 1, one job: log mel filterbanks of the utterances in a piece of wav.scp.

The features are Kaldi's (25 ms windows every 10 ms, dither 0), or those of a published system
(--preset). Audio is averaged over its channels, or --channel takes one of them. It is resampled if
necessary. The log mentions each of these once. Bad files (missing, unreadable, cut off, empty,
silent, shorter than a frame, or with channels that cancel) are listed and left out.
sv.bin.merge_features decides whether there are too many of them.

The program writes OUT/raw_fbank.NAME.ark and .scp, OUT/utt2num_frames.NAME and
OUT/bad_utterances.NAME. With --wave true it also writes OUT/raw_wave.NAME.ark and .scp (16-bit
waveforms) and OUT/utt2num_samples.NAME. The files appear only when the piece is complete. A piece
is skipped if it is complete for the same audio (by size and time of change) and the same options.

Example:
  python -m sv.bin.extract_features --scp split2/wav.1.scp --out fbank/train --name 1
"""

import argparse
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run
from sv.data.feature_preset import add_preset
from sv.numbers import MEL_BINS, SAMPLE_RATE


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and extract."""
    args = arguments(argv)

    import torch

    from sv.audio.problems import read_exclude
    from sv.data.extraction import Settings, extract_piece

    torch.set_num_threads(1)  # the jobs are the parallelism
    wave = args.wave == "true"
    settings = Settings(
        args.sample_rate, args.mel_bins, args.compression, wave, args.channel, args.preset
    )
    force, exclude = args.force == "true", read_exclude(args.exclude)
    print(extract_piece(args.scp, args.out, args.name, settings, force, exclude, args.segments))


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    p = parser(__doc__)
    p.add_argument("--scp", type=Path, required=True, help="lines of '<utterance> <audio file>'")
    p.add_argument(
        "--segments",
        type=Path,
        help="lines of '<utterance> <recording> <start> <end>' (seconds): these utterances are "
        "spans of the files in --scp, and only the spans are read. Channels are in "
        "reco2file_and_channel beside --scp",
    )
    p.add_argument("--out", type=Path, required=True, help="folder of the features")
    p.add_argument("--name", required=True, help="name of the piece: its number, from 1")
    _add_storage(p)
    p.add_argument(
        "--wave",
        choices=["true", "false"],
        default="false",
        help="true: also keep the decoded waveforms (115 MB an hour at 16 kHz), for "
        "training that augments waveforms (data.domain: wave)",
    )
    p.add_argument(
        "--force",
        choices=["true", "false"],
        default="false",
        help="true: work again although the piece is complete. Changed audio files are "
        "noticed without this option",
    )
    p.add_argument(
        "--exclude",
        type=Path,
        help="list of utterances to leave out, by id or path, as `sv doctor` writes it; they do "
        "not count as bad",
    )
    add_preset(p)
    add_channel(p)
    return p.parse_args(argv)


def _add_storage(p: argparse.ArgumentParser) -> None:
    """Add the options that say how fine the features are, and how they are stored."""
    p.add_argument(
        "--num-mel-bins",
        dest="mel_bins",
        metavar="BANDS",
        type=MEL_BINS,
        default=80,
        help="number of mel filters; 80 is usual for neural networks, 40 makes files "
        "half as large. If the FFT cannot resolve them (over about 120 at 16 kHz), "
        "this is an error",
    )
    p.add_argument(
        "--sample-rate",
        type=SAMPLE_RATE,
        default=16000,
        help="Hz; audio at another rate is resampled. Telephone speech has nothing above "
        "4 kHz, so 8000 wastes no filters there",
    )
    p.add_argument(
        "--compression",
        choices=["CM2", "CM", "CM3", "FM"],
        default="CM2",
        help="how values are stored: CM2 16 bits (error 2e-4); CM and CM3 8 bits (error "
        "0.1 and 0.06); FM floats, twice as large as CM2",
    )


if __name__ == "__main__":
    run(main)
