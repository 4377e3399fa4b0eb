"""Find the parts of VoxCeleb that are needed, name their layout, list their files.

Reads no audio, so that a wrong folder or list is found in minutes, not after a night of
converting. Writes OUT/<part>.scp with "<speaker>-<video>-<utterance> <path>" lines for each
part (voxceleb1-dev, voxceleb1-test, voxceleb2-dev, voxceleb2-test), and OUT/parts with the folder
that holds its speakers. Counts are compared with the published ones, and trials with the files.

Example:
  python list_audio.py --voxceleb1 /data/voxceleb1 --voxceleb2 /data/voxceleb2 \\
      --trials corpus/trials --out data/lists
"""

from pathlib import Path

import voxceleb

from sv.audio.endings import is_foreign
from sv.cli import parser, run
from sv.corpora.convert import require_ffmpeg
from sv.corpora.counts import Counts, check_counts, expected_counts
from sv.corpora.known_layouts import list_utterances, matching, speakers_in
from sv.data.trials import Trials, refuse_missing
from sv.data.utterance import AudioFile
from sv.errors import InputError
from sv.files import atomic_write, digest

SHOWN = 6


def main(argv: list[str] | None = None) -> None:
    """Parse, find, list."""
    p = parser(__doc__)
    for name in ("voxceleb1", "voxceleb2"):
        p.add_argument(f"--{name}", type=Path, help=f"the folder of {name}, or one above its parts")
    p.add_argument("--train-set", default="voxceleb2", help="parts to train on, joined by +")
    p.add_argument("--trials", type=Path, required=True, help="folder of the official lists")
    p.add_argument("--lists", default="o e h", help="trial lists: some of o, e, h")
    p.add_argument("--counts", default="published", help="published, any, or a file of counts")
    p.add_argument("--out", type=Path, required=True, help="where the lists go")
    args = p.parse_args(argv)
    expected = expected_counts(args.counts, voxceleb.PUBLISHED)
    roots = {"voxceleb1": args.voxceleb1, "voxceleb2": args.voxceleb2}
    needed = voxceleb.parts_needed(args.train_set, args.lists)
    for part in needed:
        check_root(part, roots[part.partition("-")[0]])
    lists = voxceleb.read_lists(args.lists, args.trials, expected)
    found = {
        part: find(part, roots[part.partition("-")[0]].absolute(), expected, args.counts)
        for part in needed
    }
    check_lists(
        lists, {f.id for part in found if part in voxceleb.PARTS[:2] for f in found[part][1]}
    )
    foreign = [f for folder, files in found.values() for f in files if is_foreign(f.relative)]
    if foreign:
        require_ffmpeg(len(foreign), foreign[0].relative)
    for part, (folder, files) in found.items():
        with atomic_write(args.out / f"{part}.scp") as handle:
            handle.writelines(f"{f.id} {folder / f.relative}\n" for f in files)
    with atomic_write(args.out / "parts") as handle:
        handle.writelines(f"{part} {folder}\n" for part, (folder, _) in found.items())


def check_root(part: str, root: Path | None) -> None:
    """Raise ``InputError`` if the corpus of ``part`` was not given or is not there."""
    corpus = part.partition("-")[0]
    if root is None:
        raise InputError(f"{part} is needed: give --{corpus}, its folder")
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder; check --{corpus}")


def check_lists(lists: dict[str, Trials], ids: set[str]) -> None:
    """Show the checksums of the lists; refuse those that name files which are not there."""
    for name, trials in lists.items():
        print(f"{name}: {len(trials):,} trials, sha256 {digest(trials.path)}")
        md5 = voxceleb.LISTS[name][1]
        if digest(trials.path, "md5") != md5:
            print(f"{name}: {trials.path} is NOT, byte for byte, the published list (md5 {md5})")
        refuse_missing(trials, ids, "the folder of VoxCeleb1")


def find(part: str, root: Path, expected: Counts, option: str) -> tuple[Path, list[AudioFile]]:
    """Return the folder of ``part`` and its files, and say what was recognised."""
    corpus, split = part.split("-")
    is_speaker = voxceleb.SPEAKER.fullmatch
    alone = matching(root, voxceleb.folders(part), is_speaker)
    together = matching(root, voxceleb.undivided_folders(part), is_speaker)
    if not alone and not together:
        known = [folder for folder in voxceleb.folders(part) if "/" in folder][:SHOWN]
        raise InputError(
            f"{root}: {part} is missing: none of the known folders holds speakers "
            f"({', '.join(known)}, ... or wav, aac with dev and test together); unpack it there, "
            f"or check --{corpus}"
        )
    chosen = (alone or together)[0]
    folder = root / chosen
    meta = voxceleb.read_meta(root / "vox2_meta.csv")
    speakers, others = [], []
    for speaker in speakers_in(folder, is_speaker):
        known = voxceleb.split_of(speaker, meta)
        (speakers if known in (split, None) else others).append(speaker)
    unsure = not alone and any(voxceleb.split_of(s, meta) is None for s in speakers)
    if unsure and (split == "test" or len(speakers) != voxceleb.PUBLISHED[part][0]):
        raise InputError(
            f"{folder}: holds {len(speakers):,} speakers of VoxCeleb2 without saying which are for "
            f"testing; put vox2_meta.csv into {root}, or move dev and test into folders of these "
            "names"
        )
    if not speakers:
        raise InputError(
            f"{root}: {part} is missing: {folder} holds the other split only; unpack it there, or "
            f"check --{corpus}"
        )
    files = list_utterances(folder, speakers)
    kinds = sorted({f.relative.rpartition(".")[2].lower() for f in files})
    print(
        f"{part}: {len(speakers):,} speakers, {len(files):,} utterances; layout "
        f"{chosen or '.'}/<speaker>/<video>/<utterance>.{'|'.join(kinds) or '?'}, in {root}"
    )
    if others:
        print(f"{part}: {len(others):,} speakers of the other split there are left out")
    ignored = [name or "." for name in dict.fromkeys(alone) if name != chosen]
    if ignored:
        print(f"{part}: {', '.join(ignored)} hold speakers too and are not used")
    counts = (len({f.speaker for f in files}), len(files))
    check_counts(str(folder), part, counts, expected, "speakers, utterances")
    published = voxceleb.PUBLISHED[part]
    if counts != published:
        print(
            f"{part}: NOT the published {published[0]:,} speakers and {published[1]:,} utterances, "
            f"accepted by --counts {option}"
        )
    return folder, files


if __name__ == "__main__":
    run(main)
