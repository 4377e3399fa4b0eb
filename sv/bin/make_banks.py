"""Stage 2: make banks of noises and rooms, for the augmentation of training crops.

Noises become log-mel features (banks/noise/: feats.scp, utt2num_frames, utt2kind). Rooms become
energy decays of 0.5 s (--room-seconds) in 10 ms steps and mel bands (banks/rooms/feats.scp). With
--wave true both are also kept as 16-bit waveforms (wav_ark.scp, utt2num_samples), for data.domain:
wave. They come from folders of audio, or they are generated: coloured noise, chords and synthetic
rooms. Generated banks need no download, but they are a poor replacement for recordings.

The kind of a noise is "music" or "speech" if a folder above it has this name, as in MUSAN, and
otherwise "noise". Each kind has its own range of SNR (augment.*_snr).

Examples:
  python -m sv.bin.make_banks --noise musan --rir RIRS_NOISES/real_rirs --out banks
  python -m sv.bin.make_banks --noise generated --rir generated --out banks
"""

import contextlib
import logging
import shutil
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sv.audio.problems import MAX_BAD, Bad, load, refuse_too_many, write_bad
from sv.cli import parser, run
from sv.corpora.folder_layout import find_files, foreign_reason
from sv.corpora.musan_rirs import read_clips
from sv.crops.banks import KINDS, ROOM_SECONDS, cut_response, energy_decay, noise_kind
from sv.crops.mixed_babble import FILES, write_mixed_babble
from sv.data.feature_preset import add_preset, write_preset
from sv.data.replaced import write_table
from sv.data.utterance import name_problem
from sv.errors import InputError
from sv.features import fbank
from sv.files import shown
from sv.kaldi.arks import ArkWriter
from sv.numbers import COUNT, MEL_BINS, NATURAL, NOT_NEGATIVE, SEED, SHARE
from sv.progress import progress

GENERATED_NOISES = 120
GENERATED_NOISE_SECONDS = 6.0
GENERATED_ROOMS = 120
SAMPLE_RATE = 16000
SHORTEST_NOISE = 100
"""In frames. A shorter noise would be repeated many times in a crop."""

Clip = tuple[str, str, np.ndarray]
"""(id, kind, samples)."""


def arguments() -> ArgumentParser:
    """Return the parser of the command line."""
    p = parser(__doc__)
    p.add_argument(
        "--noise", default="generated", help="folder of noise and music, 'generated', or 'none'"
    )
    p.add_argument(
        "--rir", default="generated", help="folder of room responses, 'generated', or 'none'"
    )
    p.add_argument("--out", type=Path, required=True, help="folder for the banks")
    p.add_argument(
        "--num-mel-bins",
        type=MEL_BINS,
        default=80,
        dest="mel_bins",
        metavar="BANDS",
        help="number of mel bands, as in stage 1",
    )
    add_preset(p)
    p.add_argument(
        "--wave",
        choices=["true", "false"],
        default="false",
        help="true: also keep waveforms: 115 MB per hour of noise and 16 kB per room",
    )
    p.add_argument(
        "--room-seconds",
        type=NOT_NEGATIVE,
        default=ROOM_SECONDS,
        help="length of each room response that is kept, from its direct sound on; 0: the whole "
        "response unchanged. The longest response determines the cost of the convolution for all "
        "crops",
    )
    p.add_argument(
        "--mixed-babble",
        type=NATURAL,
        default=0,
        metavar="CLIPS",
        help="sum so many clips of 30 s from the speech of the noise bank: training then reads one "
        "sound for babble instead of one for each talker (2,000 clips take 1 GB). 0: none",
    )
    p.add_argument(
        "--babble-speakers",
        type=COUNT,
        nargs=2,
        default=[3, 7],
        metavar=("LOW", "HIGH"),
        help="range of the number of talkers in a clip. Training uses the clips only if its "
        "augment.babble_speakers is the same",
    )
    p.add_argument("--max-bad", type=SHARE, default=MAX_BAD, help="tolerated share of bad files")
    p.add_argument("--seed", type=SEED, default=0, help="seed of generated noises and rooms")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and make both banks."""
    args = arguments().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    how = {"mel_bins": args.mel_bins, "wave": args.wave == "true"}
    how["preset"] = args.preset
    rooms = partial(write_rooms, seconds=args.room_seconds)
    parts = {"noise": (args.noise, write_noises), "rooms": (args.rir, rooms)}
    for name, (source, write) in parts.items():
        if source == "none":
            shutil.rmtree(args.out / name, ignore_errors=True)  # the bank of an earlier run
        elif source == "generated":
            write(_generated(args.seed, name), args.out, **how)
        else:
            listed = args.out / f"bad_{name}"
            write(_recorded(Path(source), name, listed, args.max_bad), args.out, **how)
    if args.mixed_babble and args.noise != "none":
        of_talkers = (args.mixed_babble, args.babble_speakers, args.seed)
        write_mixed_babble(args.out / "noise", *of_talkers, wave=how["wave"], preset=args.preset)


def write_noises(
    clips: Iterable[Clip], out: Path, mel_bins: int, wave: bool = False, preset: str = "kaldi"
) -> None:
    """Write ``out/noise``: the log-mel features and kinds of ``clips``.

    With ``wave``, the waveforms are written too. Raises ``InputError`` if all noises are too short.
    """
    folder = out / "noise"
    frames: dict[str, int] = {}
    samples: dict[str, int] = {}
    kinds: dict[str, str] = {}
    (folder / "utt2kind").unlink(missing_ok=True)  # without it, an incomplete bank is not used
    with _writers(folder, "CM2", wave) as (writer, waves):
        for name, kind, clip in clips:
            features = np.asarray(fbank(clip, num_mel_bins=mel_bins, preset=preset))
            if len(features) < SHORTEST_NOISE:
                continue
            writer.write(name, features)
            if waves:
                waves.write_waveform(name, clip, SAMPLE_RATE)
            frames[name], samples[name], kinds[name] = len(features), len(clip), kind
        if not frames:
            raise InputError("no noise is as long as 1 s: give a folder with longer noises")
    write_table(folder / "utt2num_frames", frames.items(), in_order=True)
    if wave:
        write_table(folder / "utt2num_samples", samples.items(), in_order=True)
    write_preset(folder, preset)
    write_table(folder / "utt2kind", kinds.items(), in_order=True)
    counts = ", ".join(f"{list(kinds.values()).count(k)} {k}" for k in KINDS)
    print(f"{folder}: {counts}; {sum(frames.values()) / 360000:.2f} h")


def write_rooms(
    clips: Iterable[Clip],
    out: Path,
    mel_bins: int,
    wave: bool = False,
    preset: str = "kaldi",
    seconds: float = ROOM_SECONDS,
) -> None:
    """Write ``out/rooms``: the energy decays of the room responses ``clips``.

    With ``wave``, the responses are written too, with the peak at full scale. ``seconds``: as in
    ``sv.crops.banks.cut_response``.
    """
    folder = out / "rooms"
    samples: dict[str, int] = {}
    with _writers(folder, None, wave) as (writer, waves):
        for name, _, clip in clips:
            writer.write(name, energy_decay(clip, SAMPLE_RATE, mel_bins, seconds, preset))
            response = cut_response(clip, SAMPLE_RATE, seconds)
            if waves:
                waves.write_waveform(name, response / np.abs(response).max(), SAMPLE_RATE)
            samples[name] = len(response)
        if wave:
            write_table(folder / "utt2num_samples", samples.items(), in_order=True)
        write_preset(folder, preset)
    print(f"{folder}: {len(samples)} rooms")


@contextlib.contextmanager
def _writers(folder: Path, compression: str | None, wave: bool) -> Iterator[tuple]:
    """Delete old waveforms and babble; open the writers of features and, if ``wave``, of those."""
    for name in ("wav_ark.scp", "utt2num_samples", "wav.ark", *FILES):
        (folder / name).unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        waves = wave and stack.enter_context(ArkWriter(folder / "wav.ark", folder / "wav_ark.scp"))
        writer = ArkWriter(folder / "feats.ark", folder / "feats.scp", compression)
        yield stack.enter_context(writer), waves


def _recorded(root: Path, name: str, listed: Path, max_bad: float) -> Iterator[Clip]:
    """Read every audio file of a prepared folder (``wav.scp``, ``utt2kind``), or below ``root``.

    Without such lists, ids are relative paths without blanks, and folders determine the kind.
    """
    clips, bad = read_clips(root), []
    if clips is None:
        clips, bad = _clips_below(root)
    total = len(clips) + len(bad)
    for key, kind, path in progress(clips, desc=name, unit="file"):
        samples, problem = load(path)
        if problem:
            bad.append(Bad(key, str(path), problem))
        else:
            yield key, kind, samples
    if bad:
        write_bad(listed, bad)
        refuse_too_many(bad, total, str(listed), max_bad)
        print(f"{len(bad)} of {total} files are left out, see {listed}")


def _clips_below(root: Path) -> tuple[list[tuple[str, str, Path]], list[Bad]]:
    """Return (id, kind, path) of the audio files below ``root``, and the files with bad names."""
    found = find_files(root)
    named = {name: name_problem(name) for name in found.audio}
    bad = [Bad(shown(name), shown(root / name), p) for name, p in named.items() if p]
    bad += [Bad(shown(n), shown(root / n), foreign_reason(n)) for n in found.foreign]
    good = [Path(name) for name, problem in named.items() if not problem]
    ids = ["-".join(relative.with_suffix("").parts).replace(" ", "_") for relative in good]
    return [(i, noise_kind(p), root / p) for i, p in zip(ids, good, strict=True)], bad


def _generated(seed: int, name: str) -> Iterator[Clip]:
    from sv.audio.generated import generate_noise, generate_room_response

    rooms = name == "rooms"
    count = GENERATED_ROOMS if rooms else GENERATED_NOISES
    for number in progress(range(count), desc=name, unit="clip"):
        rng = np.random.default_rng([seed, int(rooms), number])
        kind = "music" if number % 3 == 0 else "noise"
        if rooms:
            yield f"room{number:04d}", kind, generate_room_response(rng)
        else:
            samples = generate_noise(kind, GENERATED_NOISE_SECONDS, rng)
            yield f"{kind}{number:04d}", kind, samples


if __name__ == "__main__":
    run(main)
