"""Make long recordings of a corpus's utterances, with silences, noises and music of known places.

Each recording has two channels, as a telephone call has. On each channel one speaker after
another takes a turn of a few utterances with short pauses. Between turns there is silence, a noise,
or music (generated). A background noise of the channel, 15 to 30 dB below the speech, is never off.
Speakers of the trials are in no recording. The files that the trials name are linked beside the
recordings, with the trials, so OUT is a corpus to train and to test.

The program writes OUT/rec-NNN.flac, and three RTTM files of the truth:
  OUT/utterances.rttm    where each utterance lies, and whose it is
  OUT/speech.rttm        where the utterances are loud: the speech that a detector must find
  OUT/sounds.rttm        where noises and music lie (speakers "noise" and "music")

Example:
  python egs/custom/local/long_recordings.py --corpus corpora/real-small \\
      --noise corpora/noise/noise --out long --hours 1
"""

from pathlib import Path

import numpy as np

from sv.audio.channels import coloured_noise
from sv.audio.files import read_audio
from sv.audio.generated import generate_noise
from sv.audio.problems import find_problem
from sv.cli import parser, run
from sv.corpora.folder_layout import describe_all, detect_layout, find_audio
from sv.corpora.name_lists import NameBook, read_trial_list
from sv.data.rttm import Turn, write_rttm
from sv.errors import InputError
from sv.features.vad import log_energy
from sv.files import atomic_write
from sv.numbers import POSITIVE, SEED
from sv.progress import progress

RATE = 16000
LEVEL = 0.05
"""Root mean square of the speech, of full scale."""
BELOW_LOUD = 3.5
"""Speech is loud down to 30 dB (in ln energy: 3.5 and 3.5 again) below its loud frames."""
BRIDGE = 30
"""Pauses of fewer frames inside loud speech belong to it."""


def main(argv: list[str] | None = None) -> None:
    """Read, mix, write."""
    p = parser(__doc__)
    p.add_argument("--corpus", type=Path, required=True, help="folder of audio, with speakers")
    p.add_argument("--noise", type=Path, required=True, help="folder of noises")
    p.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    p.add_argument("--trials", type=Path, help="trial list; default: CORPUS/trials")
    p.add_argument("--hours", type=POSITIVE, default=1.0, help="length of a recording")
    p.add_argument("--most", type=POSITIVE, default=1000, help="most recordings")
    p.add_argument("--seed", type=SEED, default=0, help="of everything that is drawn")
    args = p.parse_args(argv)
    speakers = training_files(args.corpus, args.trials or args.corpus / "trials")
    noises = [args.noise / name for name in find_audio(args.noise)]
    draws = np.random.default_rng(args.seed)
    order = list(speakers)
    draws.shuffle(order)
    waiting = [(name, speakers[name]) for name in order]
    truth = {"utterances": [], "speech": [], "sounds": []}
    bar = progress(total=len(waiting), desc="long recordings", unit="speaker")
    number = 0
    while waiting and number < args.most:
        name = f"rec-{number:03d}"
        count = len(waiting)
        channels = [
            one_channel(name, channel, waiting, noises, args.hours * 3600, draws, truth)
            for channel in range(2)
        ]
        write_stereo(args.out / f"{name}.flac", channels)
        for kind, turns in truth.items():
            write_rttm(args.out / f"{kind}.rttm", turns)
        bar.update(count - len(waiting))
        number += 1
    bar.close()
    link_test(args.corpus, args.trials or args.corpus / "trials", args.out)
    spoken = sum(turn.stop - turn.start for turn in truth["utterances"]) / 3600
    print(f"{args.out}: {number} recordings, {spoken:.2f} h of utterances in them")


def training_files(corpus: Path, trials: Path) -> dict[str, list[Path]]:
    """Return the files of each speaker who is in no trial."""
    relative = find_audio(corpus)
    layout = detect_layout(relative, corpus)
    files = describe_all(relative, layout, corpus)
    tested = set()
    if trials.exists():
        listed = read_trial_list(trials, NameBook(corpus, files, layout))
        tested = {file.speaker for _, *pair in listed for file in pair}
    found: dict[str, list[Path]] = {}
    for file in files:
        if file.speaker not in tested:
            found.setdefault(file.speaker, []).append(corpus / file.relative)
    if not found or layout == "flat":
        raise InputError(f"{corpus}: has no speakers outside the trials to make recordings of")
    return found


def link_test(corpus: Path, trials: Path, out: Path) -> None:
    """Link the files of the trials into the new corpus, and copy the trials."""
    if not trials.exists():
        return
    relative = find_audio(corpus)
    files = describe_all(relative, detect_layout(relative, corpus), corpus)
    listed = read_trial_list(trials, NameBook(corpus, files, detect_layout(relative, corpus)))
    with atomic_write(out / "trials") as handle:
        for label, *pair in listed:
            handle.write(f"{label}\t{pair[0].relative}\t{pair[1].relative}\n")
            for file in pair:
                link = out / file.relative
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to((corpus / file.relative).resolve())


def one_channel(name, channel, waiting, noises, seconds, draws, truth) -> np.ndarray:
    """Return the samples (samples,) of a channel; take speakers from ``waiting``."""
    length = int(seconds * RATE)
    below = draws.uniform(15, 30)
    out = coloured_noise(length, draws.uniform(-6, 0), draws) * LEVEL * 10 ** (-below / 20)
    place = int(RATE * draws.uniform(0.5, 3))
    while waiting and place < length:
        speaker, paths = waiting.pop(0)
        turn, waiting_paths = paths[:4], paths[4:]
        if waiting_paths:  # the rest of the speaker comes later
            waiting.insert(int(draws.integers(len(waiting) + 1)), (speaker, waiting_paths))
        for path in turn:
            speech = read_audio(path, RATE)
            if find_problem(speech, RATE):
                continue
            loud = loud_stretches(speech)
            power = np.mean(np.concatenate([speech[a:b] for a, b in loud]) ** 2)
            speech = speech * (LEVEL * 10 ** (draws.uniform(-3, 3) / 20) / np.sqrt(power))
            if place + len(speech) > length:
                place = length
                break
            out[place : place + len(speech)] += speech
            add(truth["utterances"], name, channel, place, len(speech), speaker)
            for start, stop in loud:
                add(truth["speech"], name, channel, place + start, stop - start, speaker)
            place += len(speech) + int(RATE * draws.uniform(0.2, 0.6))
        place = between_turns(name, channel, out, place, noises, draws, truth)
    return out.astype(np.float32)


def between_turns(name, channel, out, place, noises, draws, truth) -> int:
    """Add silence, a noise or music; return where the next turn begins."""
    place += int(RATE * draws.uniform(0.8, 3))
    kind = str(draws.choice(["silence", "noise", "music"]))
    if kind == "silence":
        return place + int(RATE * draws.uniform(0, 3))
    if kind == "noise":
        sound = read_audio(noises[int(draws.integers(len(noises)))], RATE)
        length = min(len(sound), int(RATE * draws.uniform(3, 10)))
        start = int(draws.integers(len(sound) - length + 1))
        sound = sound[start : start + length]
    else:
        sound = generate_noise("music", float(draws.uniform(5, 20)), draws)
    power = max(float(np.mean(sound**2)), 1e-12)
    sound = sound * (LEVEL * 10 ** (draws.uniform(-10, 0) / 20) / np.sqrt(power))
    sound = sound[: max(0, len(out) - place)]
    if len(sound):
        out[place : place + len(sound)] += sound
        add(truth["sounds"], name, channel, place, len(sound), kind)
    return place + len(sound) + int(RATE * draws.uniform(0.8, 2))


def add(turns: list[Turn], name, channel, start, length, speaker) -> None:
    """Append a turn that begins at sample ``start``."""
    turns.append(Turn(name, channel, start / RATE, (start + length) / RATE, speaker))


def loud_stretches(speech: np.ndarray) -> list[tuple[int, int]]:
    """Return the samples (start, stop) at which clean speech is loud, short pauses included."""
    energy = log_energy(speech, RATE)
    loud = np.flatnonzero(energy > np.percentile(energy, 95) - 2 * BELOW_LOUD)
    breaks = np.flatnonzero(np.diff(loud) > BRIDGE)
    first, last = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]]
    shift = RATE // 100
    return [(int(a) * shift, (int(b) + 2) * shift) for a, b in zip(first, last, strict=True)]


def write_stereo(path: Path, channels: list[np.ndarray]) -> None:
    """Write the channels as 16-bit FLAC."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.clip(np.stack(channels, axis=1), -1, 1)
    soundfile.write(path, samples, RATE, subtype="PCM_16")


if __name__ == "__main__":
    run(main)
