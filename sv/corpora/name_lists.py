"""Lists that name files of a corpus by path or by utterance id: trials and training lists."""

import os
from collections.abc import Callable
from pathlib import Path

from sv.audio.endings import AUDIO_SUFFIXES
from sv.corpora.folder_layout import describe
from sv.data.trials import Trials, read_trials, refuse_contradictions
from sv.data.utterance import AudioFile
from sv.errors import InputError
from sv.text import read_lines

SHOWN = 3


class NameBook:
    """Finds the file that a name in a list means.

    A name is an utterance id, or a path: absolute, from the corpus folder, or from the folder of
    the list. If none of these fits, the id that the end of the path would get is looked up. So
    ``id10270/abc/00001.wav`` is found below ``vox1_test/wav/``, and under another suffix.
    """

    def __init__(self, corpus: str | os.PathLike, files: list[AudioFile], layout: str):
        self.corpus = Path(corpus).absolute()
        self.layout = layout
        self.by_id = {file.id: file for file in files}
        self.by_path = {file.relative: file for file in files}

    def finder(self, list_path: str | os.PathLike) -> Callable[[str], AudioFile | None]:
        """Return a function from a name in the list at ``list_path`` to its file, or None."""
        folder = Path(list_path).absolute().parent

        def find(name: str) -> AudioFile | None:
            file = self.by_path.get(name) or self.by_id.get(name)
            if file is not None:
                return file
            for base in (self.corpus, folder):
                path = base / name
                if ".." in path.parts:
                    path = path.resolve()
                for root in {self.corpus, self.corpus.resolve()}:
                    if path.is_relative_to(root):
                        file = self.by_path.get(path.relative_to(root).as_posix())
                        if file is not None:
                            return file
            if name.lower().endswith(AUDIO_SUFFIXES) and "/" in name.strip("/"):
                return self.by_id.get(describe(name.strip("/"), self.layout).id)
            return None

        return find


def read_name_list(path: str | os.PathLike, book: NameBook) -> list[AudioFile]:
    """Return the files of a list with one name on each line; each file is returned once.

    Raises:
        InputError: the list is missing or empty, or names files that the corpus does not have.
    """
    lines = _filled(path)
    find = book.finder(path)
    found = [find(line) for _, line in lines]
    unknown = [line for line, file in zip(lines, found, strict=True) if file is None]
    _refuse_unknown(path, unknown, book)
    return list(dict.fromkeys(found))


def read_trial_list(
    path: str | os.PathLike, book: NameBook
) -> list[tuple[int, AudioFile, AudioFile]]:
    """Return the trials as (1 or 0, enrolment file, test file), in order.

    Lines are ``1 enrol test`` (or Kaldi's ``enrol test target``). If names have spaces, tabs must
    separate the columns.

    Raises:
        InputError: the list is missing, empty or malformed, has one class only, has a pair with
            both labels, or names files that the corpus does not have.
    """
    rows = read_named_trials(path)
    find = book.finder(path)
    known: dict[str, AudioFile | None] = {}
    unknown = []
    for number, _, *pair in rows:
        for name in pair:
            if name not in known:
                known[name] = find(name)
                if known[name] is None:
                    unknown.append((number, name))
    _refuse_unknown(path, unknown, book)
    targets = sum(label for _, label, _, _ in rows)
    if not 0 < targets < len(rows):
        raise InputError(
            f"{path}: has {targets:,} target and {len(rows) - targets:,} non-target trials; "
            "an error rate needs both: add trials of the other class"
        )
    found = [(label, known[enrol], known[test]) for _, label, enrol, test in rows]
    # Checked again by ids, because two names may mean the same file.
    refuse_contradictions(Trials.of(path, [(y, e.id, t.id) for y, e, t in found]))
    return found


def read_named_trials(path: str | os.PathLike) -> list[tuple[int, int, str, str]]:
    """Return (line, 1 or 0, enrolment name, test name) of each trial; names are not resolved.

    The forms are those of ``sv.data.trials``. If names have blanks, tabs must separate the columns
    in every line.

    Raises:
        InputError: the list is missing, empty or malformed, or its trials have no labels.
    """
    lines = _filled(path)
    if "\t" in lines[0][1] and any(" " in line for _, line in lines):
        return [(number, *_split_tabs(path, number, line)) for number, line in lines]
    rows = read_trials(path, paths=True).rows()
    return [(number, *row) for (number, _), row in zip(lines, rows, strict=True)]


def _filled(path: str | os.PathLike) -> list[tuple[int, str]]:
    """Return (line number, line) of all lines that are not empty."""
    lines = read_lines(path, ": there is no such file; check the option that names it")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _split_tabs(path: str | os.PathLike, number: int, line: str) -> tuple[int, str, str]:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) == 3 and columns[0] in ("0", "1"):
        return int(columns[0]), columns[1], columns[2]
    if len(columns) == 3 and columns[2] in ("target", "nontarget"):
        return int(columns[2] == "target"), columns[0], columns[1]
    raise InputError(
        f"{path}:{number}: '{line}' is not '1|0 <tab> enrol <tab> test' (the first line has "
        "tabs, so all lines must)"
    )


def _refuse_unknown(
    path: str | os.PathLike, unknown: list[tuple[int, str]], book: NameBook
) -> None:
    if not unknown:
        return
    shown = "; ".join(f"line {number}: {name}" for number, name in unknown[:SHOWN])
    example = next(iter(book.by_path))
    raise InputError(
        f"{path}: names {len(unknown):,} files that are not among the audio of {book.corpus} "
        f"({shown}{'; ...' if len(unknown) > SHOWN else ''}); names are paths from the corpus "
        f"folder, like {example}, or utterance ids, like {book.by_path[example].id}"
    )
