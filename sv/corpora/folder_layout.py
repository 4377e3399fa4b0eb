"""Derives speakers, sessions, sub-corpora and utterance ids from the paths in a folder of audio."""

import os
import re
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sv.audio.endings import AUDIO_SUFFIXES, FOREIGN_SUFFIXES, by_ending, conversion
from sv.data.utterance import AudioFile, name_problem
from sv.errors import InputError
from sv.files import is_folder, shown

LAYOUTS = {"flat": 1, "speaker/utt": 2, "speaker/session/utt": 3}
"""Number of parts at the end of a path that have a meaning."""


class Found(NamedTuple):
    """Paths from the corpus folder, sorted: audio that can be read, and audio to convert."""

    audio: list[str]
    foreign: list[str]

    @property
    def total(self) -> int:
        """Audio files of all formats."""
        return len(self.audio) + len(self.foreign)


def find_audio(corpus: str | os.PathLike) -> list[str]:
    """Return the paths of all audio files under ``corpus``, relative to it, sorted.

    Raises:
        InputError: see ``find_files``; or a file name is not UTF-8 or has a line break.
    """
    found = find_files(corpus).audio
    for relative in found:
        problem = name_problem(relative)
        if problem:
            raise InputError(f"{corpus}: {shown(relative)} {problem}")
    return found


def find_files(corpus: str | os.PathLike) -> Found:
    """Return all audio files under ``corpus``, also those that must be converted first.

    Links to folders are followed (each real folder once); hidden files and folders are skipped. A
    file that must be converted is skipped if a readable file of the same name lies beside it.

    Raises:
        InputError: the folder is missing, is a file, cannot be listed, or holds no audio.
    """
    corpus = Path(corpus)
    if not corpus.exists():
        raise InputError(f"{corpus}: there is no such corpus folder; check --corpus")
    if not corpus.is_dir():
        raise InputError(f"{corpus}: is a file; --corpus takes the folder that holds the audio")
    audio, foreign = [], []
    seen: set[tuple[int, int]] = set()
    pending = [(corpus, "")]
    while pending:
        folder, prefix = pending.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link back up the tree
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if is_folder(entry):
                    pending.append((Path(entry.path), f"{prefix}{entry.name}/"))
                elif entry.name.lower().endswith(AUDIO_SUFFIXES):
                    audio.append(prefix + entry.name)
                elif entry.name.lower().endswith(FOREIGN_SUFFIXES):
                    foreign.append(prefix + entry.name)
    if foreign:
        stems = {name.rpartition(".")[0] for name in audio}
        foreign = [name for name in foreign if name.rpartition(".")[0] not in stems]
    if not audio:
        kinds = " ".join(suffix.removeprefix(".") for suffix in AUDIO_SUFFIXES)
        hint = f"; {foreign_sentence(foreign)}" if foreign else "; check --corpus"
        raise InputError(f"{corpus}: holds no audio file ({kinds}){hint}")
    return Found(sorted(audio), sorted(foreign))


def foreign_sentence(foreign: list[str]) -> str:
    """Return a sentence about files that must be converted."""
    return (
        f"{len(foreign):,} files such as {shown(foreign[0])} are in formats that are not read "
        f"({by_ending(foreign)}): convert them, each by '{conversion(foreign[0])}'"
    )


def foreign_reason(name: str) -> str:
    """Return what is wrong with one such file."""
    return f"is in a format that is not read: convert it by '{conversion(name)}'"


def safe(name: str) -> str:
    """Return ``name`` with ``_`` for all characters but letters, digits and ``. _ + @ = ~ -``."""
    return re.sub(r"[^\w.+@=~-]+", "_", unicodedata.normalize("NFC", name))


def detect_layout(relative: list[str], corpus: str | os.PathLike) -> str:
    """Return the layout that all paths share.

    Raises:
        InputError: some files lie deeper than others, so it is unclear which folders are speakers
            and which are sessions.
    """
    examples: dict[int, str] = {}
    counts: dict[int, int] = defaultdict(int)
    for path in relative:
        depth = min(path.count("/") + 1, 3)
        examples.setdefault(depth, path)
        counts[depth] += 1
    if len(counts) > 1:
        shown = "; ".join(
            f"{counts[depth]:,} files like {examples[depth]}" for depth in sorted(counts)
        )
        raise InputError(
            f"{corpus}: the files do not lie equally deep ({shown}), so speakers cannot be told "
            f"from sessions; move the odd files away, or give --layout ({', '.join(LAYOUTS)})"
        )
    return {depth: layout for layout, depth in LAYOUTS.items()}[next(iter(counts))]


def describe(relative: str, layout: str, group_speakers: bool = False) -> AudioFile:
    """Return the file with the labels that its path gives in this layout.

    If ``group_speakers`` is true, the speaker is named ``<group>-<speaker>``, so equal names in two
    sub-corpora are two people.
    """
    *parts, name = [safe(part) for part in PurePosixPath(relative).parts]
    stem = name.rpartition(".")[0] or name
    depth = LAYOUTS[layout]
    if depth == 1:
        return AudioFile(relative, "-".join([*parts, stem]))
    meaning, above = parts[1 - depth :], parts[: 1 - depth]
    group = "-".join(above) or None
    speaker = f"{group}-{meaning[0]}" if group_speakers and group else meaning[0]
    session = meaning[1] if depth == 3 else None
    return AudioFile(relative, "-".join([speaker, *meaning[1:], stem]), speaker, session, group)


def describe_all(
    relative: list[str], layout: str, corpus: str | os.PathLike, group_speakers: bool = False
) -> list[AudioFile]:
    """Describe all files, and check that ids and speakers are unique.

    Raises:
        InputError: a path is too short for the layout, two files get the same id, or two different
            speaker folders get the same name.
    """
    depth = LAYOUTS[layout]
    for path in relative:
        if path.count("/") + 1 < depth:
            raise InputError(
                f"{Path(corpus) / path}: does not lie in <{layout}>; move it, or give another "
                "--layout"
            )
    files = [describe(path, layout, group_speakers) for path in relative]
    by_id: dict[str, AudioFile] = {}
    for file in files:
        other = by_id.setdefault(file.id, file)
        if other is not file:
            raise InputError(
                f"{Path(corpus) / other.relative} and {Path(corpus) / file.relative} would both "
                f"be utterance '{file.id}'; rename or remove one of them"
                + (" (or try --group-speakers)" if other.group != file.group else "")
            )
    if depth > 1:
        _check_speaker_folders(files, depth, corpus)
    return files


def _check_speaker_folders(files: list[AudioFile], depth: int, corpus: str | os.PathLike) -> None:
    folders: dict[str, str] = {}
    for file in files:
        folder = PurePosixPath(file.relative).parts[-depth]
        other = folders.setdefault(file.speaker, folder)
        if other != folder and not _same_letters(other, folder):
            raise InputError(
                f"{corpus}: the speaker folders '{other}' and '{folder}' would both be speaker "
                f"'{file.speaker}'; rename one of them"
            )


def _same_letters(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def speakers_in_several_groups(files: list[AudioFile]) -> list[str]:
    """Return the speaker names that occur in more than one sub-corpus, sorted."""
    groups: dict[str, set[str | None]] = defaultdict(set)
    for file in files:
        if file.speaker is not None:
            groups[file.speaker].add(file.group)
    return sorted(speaker for speaker, names in groups.items() if len(names) > 1)
