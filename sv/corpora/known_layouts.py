"""Corpora whose folders have several known layouts: finds the layout and its files."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sv.audio.endings import AUDIO_SUFFIXES, FOREIGN_SUFFIXES, is_foreign
from sv.data.audio_headers import THREADS
from sv.data.utterance import AudioFile, name_problem
from sv.errors import InputError
from sv.files import is_folder, shown
from sv.progress import progress


def speakers_in(folder: str | os.PathLike, is_speaker: Callable[[str], object]) -> list[str]:
    """Return the subfolders that have names of speakers, sorted; [] if there is no ``folder``."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if is_speaker(e.name) and is_folder(e))
    except (FileNotFoundError, NotADirectoryError):
        return []


def matching(
    root: str | os.PathLike, candidates: Iterable[str], is_speaker: Callable[[str], object]
) -> list[str]:
    """Return the ``candidates`` (folders below ``root``; "" is itself) that contain speakers."""
    return [folder for folder in candidates if speakers_in(Path(root) / folder, is_speaker)]


def list_utterances(folder: str | os.PathLike, speakers: Iterable[str]) -> list[AudioFile]:
    """Return the files ``<speaker>/<session>/<utterance>.<suffix>`` below ``folder``, by id.

    If an utterance exists twice because it was converted in place, the file that needs no
    conversion counts. Files at other depths are ignored. Folders are read in parallel threads,
    because a network disk has to be asked for each of perhaps 150,000 sessions.
    """
    folder, speakers = Path(folder), list(speakers)

    def read(speaker: str) -> dict[str, AudioFile]:
        return _utterances_of(folder, speaker)

    found: dict[str, AudioFile] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        pages = pool.map(read, speakers)
        for page in progress(pages, total=len(speakers), desc="folders", unit="speaker"):
            found.update(page)
    return [found[key] for key in sorted(found)]


def _utterances_of(folder: Path, speaker: str) -> dict[str, AudioFile]:
    found: dict[str, AudioFile] = {}
    for session in _entries(folder / speaker, folders=True):
        for name in _entries(folder / speaker / session, folders=False):
            stem, _, suffix = name.rpartition(".")
            if not f".{suffix.lower()}".endswith(AUDIO_SUFFIXES + FOREIGN_SUFFIXES) or not stem:
                continue
            key = f"{speaker}-{session}-{stem}"
            if key not in found or is_foreign(found[key].relative):
                found[key] = AudioFile(f"{speaker}/{session}/{name}", key, speaker, session)
    return found


def _entries(folder: Path, folders: bool) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(
            e.name for e in entries if not e.name.startswith(".") and is_folder(e) == folders
        )
    for name in names:
        problem = name_problem(name)
        if problem:
            raise InputError(f"{folder}: {shown(name)} {problem}")
    return names
