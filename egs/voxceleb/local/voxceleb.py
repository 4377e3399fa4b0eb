"""What is known about VoxCeleb: folders, splits, counts, trial lists, overlaps.

Why lhotse's ``prepare_voxceleb`` (1.33) does not make these splits: its training set joins
VoxCeleb1 dev, VoxCeleb2 dev and VoxCeleb2 test, as Kaldi's old recipe did, so nothing trained on it
can report VoxCeleb1-E, -H or SITW; the trial cuts that it writes cannot be loaded again (lhotse
says "Unknown type of manifest"); it knows one folder layout, wants the meta files in it, and looks
each recording up in a list, so that its time grows with the square of the corpus. The data
directories are lhotse manifests all the same.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from sv.corpora.counts import Counts, check_counts
from sv.data.trials import Trials, read_distributed
from sv.errors import InputError
from sv.text import read_text

SPEAKER = re.compile(r"id1\d{4}|id0\d{4}")

PARTS = ("voxceleb1-dev", "voxceleb1-test", "voxceleb2-dev", "voxceleb2-test")

# Nagrani et al. 2017 and Chung et al. 2018, as cleaned: https://www.robots.ox.ac.uk/~vgg/data/voxceleb
PUBLISHED = {
    "voxceleb1-dev": (1211, 148642),  # speakers, utterances
    "voxceleb1-test": (40, 4874),
    "voxceleb2-dev": (5994, 1092009),
    "voxceleb2-test": (118, 36237),
    "vox1-o": (37611,),  # trials
    "vox1-e": (579818,),
    "vox1-h": (550894,),
}

# Name -> file, MD5 (as PaddleSpeech's preparation checks it), parts that its utterances lie in.
LISTS = {
    "vox1-o": ("veri_test2.txt", "b73110731c9223c1461fe49cb48dddfc", ("voxceleb1-test",)),
    "vox1-e": ("list_test_all2.txt", "a53e059deb562ffcfc092bf5d90d9f3a", PARTS[:2]),
    "vox1-h": ("list_test_hard2.txt", "857790e09d579a68eb2e339a090343c8", PARTS[:2]),
}
LIST_PLACES = (
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/",
    "https://mm.kaist.ac.kr/datasets/voxceleb/meta/",
)

TRAIN_SETS = {
    "voxceleb2": "voxceleb2-dev",
    "voxceleb1": "voxceleb1-dev",
    "voxceleb2-test": "voxceleb2-test",
}


class Overlap(NamedTuple):
    """Two corpora that share people, although their speaker names differ."""

    train: str
    test: str
    reason: str


# Sets of the same corpus need no entry, because they share the names of speakers.
OVERLAPS = (
    Overlap("voxceleb2-test", "sitw", "Kaldi's egs/voxceleb leaves it out for that reason"),
    Overlap("voxceleb1-dev", "sitw", "60 people, http://www.openslr.org/resources/49"),
    Overlap("voxceleb1-test", "sitw", "60 people, http://www.openslr.org/resources/49"),
)

# Folders that hold the speakers, below what --voxceleb1 or --voxceleb2 names. "" is that folder
# itself. wav comes before aac: if both exist, somebody has converted the files.
_ABOVE = ("", "{corpus}/", "{Corpus}/", "{short}/")
_DIVIDED = (
    "{short}_{split}_wav/wav",
    "{short}_{split}_wav/{split}/wav",
    "{short}_{split}_wav",
    "{split}/wav",
    "{short}_{split}/wav",
    "{short}_{split}_aac/{split}/aac",
    "{short}_{split}_aac/aac",
    "{short}_{split}_aac",
    "{split}/aac",
    "{split}/m4a",
    "{split}",
)
_UNDIVIDED = ("wav", "aac", "m4a", "{short}_wav", "{short}_aac", "")


def folders(part: str) -> list[str]:
    """Return the folders in which ``part`` is known to lie alone, the usual ones first."""
    corpus, split = part.split("-")
    splits = (split, "train") if split == "dev" else (split,)
    return [
        _fill(above + inner, corpus, s) for s in splits for above in _ABOVE for inner in _DIVIDED
    ]


def undivided_folders(part: str) -> list[str]:
    """Return the folders in which dev and test are known to lie together."""
    corpus, _ = part.split("-")
    return [_fill(above + inner, corpus, "") for above in _ABOVE for inner in _UNDIVIDED]


def _fill(template: str, corpus: str, split: str) -> str:
    names = {"corpus": corpus, "Corpus": corpus.replace("voxceleb", "VoxCeleb")}
    short = corpus.replace("voxceleb", "vox")
    return template.format(**names, short=short, split=split).rstrip("/")


def split_of(speaker: str, meta: dict[str, str]) -> str | None:
    """Return "dev" or "test"; None if only the folder shows it.

    VoxCeleb1's test speakers are those whose names begin with E: id10270 to id10309.
    VoxCeleb2's are listed in ``vox2_meta.csv`` only.
    """
    if speaker.startswith("id1"):
        return "test" if "id10270" <= speaker <= "id10309" else "dev"
    return meta.get(speaker)


def read_meta(path: Path) -> dict[str, str]:
    """Return {speaker: "dev" or "test"} of ``vox2_meta.csv``; {} if there is no such file."""
    if not path.is_file():
        return {}
    lines = read_text(path).split("\n")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    table = {row[0]: row[-1] for row in rows if SPEAKER.fullmatch(row[0])}
    if not table or set(table.values()) - {"dev", "test"}:
        raise InputError(f"{path}: is not VoxCeleb2's table of speakers, with Set as last column")
    return table


def train_parts(option: str) -> list[str]:
    """Return the parts that ``--train-set`` names, e.g. "voxceleb2+voxceleb2-test"."""
    names = option.split("+")
    for name in names:
        if name not in TRAIN_SETS:
            raise InputError(
                f"--train-set {option}: '{name}' is unknown; known are {', '.join(TRAIN_SETS)}, "
                "joined by +"
            )
    return list(dict.fromkeys(TRAIN_SETS[name] for name in names))


def list_names(option: str) -> list[str]:
    """Return the trial lists that ``--lists`` names, e.g. "o e h"."""
    names = [f"vox1-{letter.lower()}" for letter in option.split()]
    unknown = [name for name in names if name not in LISTS]
    if unknown or not names:
        raise InputError(f"--lists '{option}': give some of o, e and h, such as 'o e h'")
    return list(dict.fromkeys(names))


def read_lists(option: str, folder: Path, expected: Counts) -> dict[str, Trials]:
    """Read the official lists that ``--lists`` names and check their counts."""
    lists = {}
    for name in list_names(option):
        lists[name] = read_distributed(folder / LISTS[name][0])
        check_counts(str(lists[name].path), name, (len(lists[name]),), expected, "trials")
    return lists


def parts_needed(train_set: str, lists: str) -> list[str]:
    """Return the parts that training and the trial lists need, in the order of ``PARTS``."""
    needed = {*train_parts(train_set)}
    for name in list_names(lists):
        needed.update(LISTS[name][2])
    return [part for part in PARTS if part in needed]
