"""Make a tree of VoxCeleb's shape to try the recipe without the corpora.

The utterances are those of the mini corpus (--speech egs/mini/v1/corpus), or generated sounds.
Writes OUT/voxceleb1 (wav), OUT/voxceleb2 (m4a, by ffmpeg, or wav), OUT/trials, OUT/musan,
OUT/RIRS_NOISES and OUT/counts. Error rates on it mean nothing.

Example:
  python make_miniature.py --out mini
  ../v1/run.sh --voxceleb1 mini/voxceleb1 --voxceleb2 mini/voxceleb2 --trials mini/trials \\
      --musan mini/musan --rirs mini/RIRS_NOISES --counts mini/counts \\
      --set "train.epochs=1 train.batch_size=8"
"""

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import voxceleb

from sv.audio.files import read_audio, write_audio
from sv.audio.generated import generate_noise, generate_room_response
from sv.cli import parser, run
from sv.corpora.convert import require_ffmpeg
from sv.corpora.mini_tables import read_tsv
from sv.errors import InputError

RATE = 16000
SECONDS = 1.5
VIDEOS = ("-a_b-C1dEfG", "zYxWvUtSrQp")
UTTERANCES = ("00001", "00003")
SPEAKERS = {
    "voxceleb1-dev": ("id10001", "id10002", "id11251"),
    "voxceleb1-test": ("id10270", "id10271", "id10309"),
    "voxceleb2-dev": ("id00012", "id00015", "id00016", "id09272"),
    "voxceleb2-test": ("id00017", "id00061"),
}
FOLDERS = {
    "voxceleb1-dev": "voxceleb1/vox1_dev_wav/wav",
    "voxceleb1-test": "voxceleb1/vox1_test_wav/wav",
    "voxceleb2-dev": "voxceleb2/dev/aac",
    "voxceleb2-test": "voxceleb2/test/aac",
}


def main(argv: list[str] | None = None) -> None:
    """Parse and write."""
    p = parser(__doc__)
    p.add_argument("--out", type=Path, required=True, help="folder to write")
    p.add_argument("--voxceleb2-format", choices=["m4a", "wav"], default="m4a", help="of VoxCeleb2")
    p.add_argument("--speech", type=Path, help="folder of the mini corpus; without it, buzzes")
    args = p.parse_args(argv)
    needed = sum(map(len, SPEAKERS.values()))
    voices = iter(mini_voices(args.speech, needed) if args.speech else [[]] * needed)
    counts = {}
    for part, folder in FOLDERS.items():
        suffix = args.voxceleb2_format if part.startswith("voxceleb2") else "wav"
        names = write_part(args.out / folder, SPEAKERS[part], suffix, voices)
        counts[part] = (len(SPEAKERS[part]), len(names))
    dev, test = (SPEAKERS[f"voxceleb1-{split}"] for split in ("dev", "test"))
    for name, speakers in (("vox1-o", test), ("vox1-e", dev + test), ("vox1-h", dev + test)):
        counts[name] = (write_trials(args.out / "trials" / voxceleb.LISTS[name][0], speakers),)
    lines = (f"{name} {' '.join(map(str, numbers))}\n" for name, numbers in counts.items())
    (args.out / "counts").write_text("".join(lines))
    write_musan(args.out / "musan")
    write_rirs(args.out / "RIRS_NOISES")
    print(f"{args.out}: {', '.join(f'{n[0]} of {name}' for name, n in counts.items())}")


def mini_voices(corpus: Path, needed: int) -> list[list[Path]]:
    """Return the files of some speakers of the mini corpus, one list for each speaker."""
    count = len(VIDEOS) * len(UTTERANCES)
    files: dict[str, list[Path]] = {}
    for row in read_tsv(corpus / "utterances.tsv"):
        files.setdefault(row["speaker"], []).append(corpus / row["path"])
    enough = [paths for _, paths in sorted(files.items()) if len(paths) >= count]
    if len(enough) < needed:
        raise InputError(
            f"{corpus}: {len(enough)} speakers have {count} utterances, {needed} are needed: speak "
            "a larger corpus, or leave out --speech"
        )
    return enough[:needed]


def write_part(
    folder: Path, speakers: tuple[str, ...], suffix: str, voices: Iterator[list[Path]]
) -> list[str]:
    """Write all utterances of the speakers; return their names below ``folder``."""
    names = [
        f"{speaker}/{video}/{utterance}"
        for speaker, video, utterance in itertools.product(speakers, VIDEOS, UTTERANCES)
    ]
    for speaker in speakers:
        rng, spoken = np.random.default_rng(int(speaker.removeprefix("id"))), iter(next(voices))
        voice = generate_noise("babble", SECONDS, rng)
        for name in (name for name in names if name.startswith(speaker)):
            path, file = folder / f"{name}.wav", next(spoken, None)
            path.parent.mkdir(parents=True, exist_ok=True)
            if file is None:  # a buzz, with other noise for each utterance of a speaker
                samples = 0.5 * voice + 0.1 * generate_noise("noise", SECONDS, rng)
            else:
                samples = read_audio(file, RATE)
            write_audio(path, samples, RATE)
    if suffix != "wav":
        to_m4a([folder / f"{name}.wav" for name in names])
    return names


def to_m4a(paths: list[Path]) -> None:
    """Replace wav files by m4a files."""
    command = [require_ffmpeg(len(paths), paths[0]), "-nostdin", "-v", "error", "-y"]
    for path in paths:
        command += ["-i", str(path)]
    for number, path in enumerate(paths):
        command += ["-map", f"{number}:a", "-c:a", "aac", "-b:a", "64k"]
        command += [str(path.with_suffix(".m4a"))]
    subprocess.run(command, check=True)
    for path in paths:
        path.unlink()


def write_trials(path: Path, speakers: tuple[str, ...]) -> int:
    """Write each speaker's first utterance against the others' and its own; return the count."""
    lines = []
    for one, other in itertools.combinations_with_replacement(speakers, 2):
        for utterance in UTTERANCES:
            enrol, test = f"{one}/{VIDEOS[0]}/00001.wav", f"{other}/{VIDEOS[1]}/{utterance}.wav"
            lines.append(f"{int(one == other)} {enrol} {test}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    return len(lines)


def write_musan(folder: Path) -> None:
    """Write noise, music and speech, with the table of music that MUSAN has."""
    kinds = {"noise/free-sound": "noise", "music/fma": "music", "speech/librivox": "babble"}
    for number, (inner, kind) in enumerate(kinds.items()):
        for count in range(2):
            name = f"{inner.partition('/')[0]}-{inner.partition('/')[2]}-{count:04d}"
            clip = generate_noise(kind, 3.0, np.random.default_rng([number, count]))
            path = folder / inner / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, clip, RATE)
    (folder / "music/fma/ANNOTATIONS").write_text(
        "music-fma-0000 jazz N nobody\nmusic-fma-0001 rock,pop Y nobody\n"
    )


def write_rirs(folder: Path) -> None:
    """Write simulated rooms of the three sizes."""
    for number, size in enumerate(("smallroom", "mediumroom", "largeroom")):
        for count in (1, 2):
            path = folder / f"simulated_rirs/{size}/Room001/Room001-{count:05d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            response = generate_room_response(np.random.default_rng([number, count]))
            write_audio(path, 0.9 * response / np.abs(response).max(), RATE)


if __name__ == "__main__":
    run(main)
