"""Cut long recordings into utterances: voice activity detection, spans of 2 to 20 s (stage 1).

Audio is decoded block by block, so hour-long files need little memory. Speech is what is louder
than its surroundings and changes as syllables do; so silence, steady noise and most music are left
out.
The best path through an automaton with minimum durations smooths the decisions (by k2 if it is
installed). Speech longer than --longest is cut at its quietest places.

INPUT is a folder of audio, audio files, or a data directory of whole recordings. The program writes
the data directory OUT with Kaldi's `segments` and lhotse's cuts. No audio is copied. In a data
directory, speakers that the labels of INPUT or an RTTM file know go to --labels.

Examples:
  sv segment recordings --out data/train
  sv segment call.wav --out data/call --channel each --rttm-out call.rttm --audacity labels
  sv segment recordings --rttm diarised.rttm --out data/train --labels data/labels/train
"""

import argparse
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import POSITIVE, Number, to_int


def main(argv: list[str] | None = None) -> None:
    """Listen, cut, write, print a summary."""
    args = arguments(argv)

    import torch

    from sv.data.cutting import Cutting
    from sv.data.manifests import write_data_dir
    from sv.data.rttm import read_rttm, write_rttm
    from sv.data.segmenting import Settings, segment, turns_of
    from sv.features.vad_automaton import choose_decoder
    from sv.progress import progress

    torch.set_num_threads(1)
    settings = Settings(
        args.channel,
        args.vad,
        Cutting(args.shortest, args.longest, args.pause).check(),
        choose_decoder(args.decoder),
    )
    turns = None if args.rttm is None else read_rttm(args.rttm)
    recordings = read_recordings(args.input, args.input_labels)
    seconds = sum(recording.duration for recording in recordings)
    bar = progress(total=round(seconds), desc="segment", unit="s")
    cut = segment(recordings, settings, turns, heard=bar.update)
    bar.close()
    write_data_dir(args.out, cut.utterances, labels_dir=args.labels)
    if args.rttm_out is not None:
        write_rttm(args.rttm_out, turns_of(cut.utterances))
    if args.audacity is not None:
        write_audacity(args.audacity, cut.utterances)
    kept = sum(utterance.duration for utterance in cut.utterances)
    print(
        f"{args.out}: {len(cut.utterances):,} utterances, {kept / 3600:.2f} h, of "
        f"{len(recordings):,} recordings, {seconds / 3600:.2f} h"
    )
    if cut.silent:
        print(
            f"{args.out}: no speech in {len(cut.silent):,} recordings, which are left out, the "
            f"first: {', '.join(cut.silent[:10])}"
        )


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    p = parser(__doc__)
    p.add_argument("input", type=Path, nargs="+", help="folder, data directory, or audio files")
    p.add_argument("--out", type=Path, required=True, help="data directory to write")
    p.add_argument(
        "--labels", type=Path, help="folder for the speakers that are known, such as data/labels/x"
    )
    p.add_argument("--input-labels", type=Path, help="labels of a data directory that is the input")
    p.add_argument(
        "--channel",
        type=channel_choice,
        default="mean",
        metavar="N|each|mean",
        help="a channel from 0; each: all channels, apart, for two people on two channels; mean: "
        "all channels mixed, for one microphone pair",
    )
    p.add_argument(
        "--vad",
        choices=["energy", "none"],
        default="energy",
        help="none: take everything, cut at the quietest places",
    )
    p.add_argument(
        "--decoder",
        choices=["auto", "k2", "viterbi"],
        default="auto",
        help="who finds the best path; both find the same one. auto: k2 if it is installed",
    )
    _add_lengths(p)
    p.add_argument(
        "--rttm",
        type=Path,
        help="who speaks when (of a diariser), in place of --vad. Overlapping speech is dropped",
    )
    p.add_argument("--rttm-out", type=Path, help="also write the utterances as RTTM")
    p.add_argument(
        "--audacity",
        type=Path,
        help="folder for text labels, a file a recording: Audacity's File, Import, Labels",
    )
    return p.parse_args(argv)


def _add_lengths(p: argparse.ArgumentParser) -> None:
    """Add the options on the lengths of utterances, in seconds."""
    p.add_argument(
        "--shortest",
        type=POSITIVE,
        default=2.0,
        help="seconds; what is shorter is dropped. Short crops say little about a voice",
    )
    p.add_argument(
        "--longest",
        type=POSITIVE,
        default=20.0,
        help="seconds; what is longer is cut. Long spans may hold two speakers",
    )
    p.add_argument(
        "--pause",
        type=Number(0, 60),
        default=0.7,
        help="seconds; speech with a shorter pause stays one utterance. Too long: two speakers "
        "become one utterance, which teaches that they are the same",
    )


def channel_choice(text: str) -> str:
    """Return the choice of a channel, checked."""
    if text in ("each", "mean"):
        return text
    try:
        if 0 <= to_int(text) <= 1023:
            return str(to_int(text))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is none of: a channel from 0, each, mean")


def read_recordings(given: list[Path], labels: Path | None):
    """Return the recordings that the command line names."""
    from sv.corpora.folder_layout import describe_all, find_audio
    from sv.data.manifests import read_data_dir
    from sv.data.segmenting import recording_of

    found = []
    for path in given:
        if (path / "wav.scp").exists():
            found += read_data_dir(path, labels)
        elif path.is_dir():
            files = describe_all(find_audio(path), "flat", path)
            found += [recording_of(path / file.relative, file.id) for file in files]
        else:
            found += [recording_of(path, describe_all([path.name], "flat", path.parent)[0].id)]
    spans = [one.id for one in found if one.recording is not None]
    if spans:
        raise InputError(
            f"{given[0]}: {len(spans):,} of its utterances are spans already, the first: "
            f"{spans[0]}; give the recordings themselves"
        )
    return found


def write_audacity(folder: Path, utterances) -> None:
    """Write a file of lines ``<start> <tab> <end> <tab> <label>`` for each recording."""
    from sv.files import atomic_write

    lines: dict[str, list[str]] = {}
    for one in sorted(utterances, key=lambda one: (one.recording_id, one.start)):
        label = one.speaker or "speech"
        line = f"{one.start:.3f}\t{one.end:.3f}\t{label}\n"
        lines.setdefault(one.recording_id, []).append(line)
    for name, text in lines.items():
        with atomic_write(folder / f"{name}.txt") as handle:
            handle.writelines(text)


if __name__ == "__main__":
    run(main)
