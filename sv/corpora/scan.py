"""Makes a table of usable files from a list of audio files, in pieces that can be repeated alone.

This module is for corpora of a million files. Each job takes a piece of the list, converts files
that libsndfile cannot read, reads the headers and writes one table. If a table exists for the same
piece, it is kept. A table with bad files is made again, because they may have been repaired.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sv.audio.endings import is_foreign
from sv.corpora.convert import FORMATS, convert, require_ffmpeg
from sv.data.audio_headers import read_headers
from sv.data.utterance import AudioFile, Utterance
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.tables import read_table
from sv.numbers import to_int
from sv.progress import progress
from sv.text import read_lines

BAD = "bad"


class Scanned(NamedTuple):
    """The result of a scan: utterances without speakers, and (path, reason) of each bad file."""

    good: list[Utterance]
    bad: list[tuple[str, str]]


def scan_piece(
    scp: str | os.PathLike,
    table: str | os.PathLike,
    *,
    root: str | os.PathLike,
    converted: str | os.PathLike,
    audio_format: str = "flac",
    force: bool = False,
) -> Scanned | None:
    """Scan the files of ``scp`` and write ``table``; return None if the table is up to date.

    Args:
        scp: lines ``<id> <path>``.
        table: lines ``<id> <path> <rate> <channels> <samples>``, or ``bad <path> <reason>``,
            separated by tabs. The first line is a hash of the input.
        root: folder above all files; a converted file keeps its path below this folder.
        converted: folder for converted files.
        audio_format: "flac" or "wav", for converted files.
        force: read all headers again, even if the table is up to date.

    Raises:
        InputError: the list is malformed, a file lies outside ``root``, or ffmpeg is needed and
            missing.
    """
    if audio_format not in FORMATS:
        raise InputError(f"--format {audio_format}: is none of {', '.join(FORMATS)}")
    table, listed = Path(table), read_table(Path(scp))
    mark = _mark(listed.lines, converted, audio_format)
    if (
        not force
        and table.exists()
        and _first_line(table) == mark
        and not read_scanned([table]).bad
    ):
        return None
    sources = dict(zip(listed.keys, map(Path, listed.values), strict=True))
    paths, bad = _convert_foreign(sources, Path(root), Path(converted), audio_format)
    files = [AudioFile(str(path), key) for key, path in paths.items()]
    good, unreadable = read_headers(Path(), files)
    bad += [(file.relative, reason) for file, reason in unreadable]
    with atomic_write(table) as handle:
        handle.write(f"{mark}\n")
        for u in good:
            fields = (u.id, u.path, u.sample_rate, u.channels, u.num_samples)
            handle.write("\t".join(map(str, fields)) + "\n")
        handle.writelines(f"{BAD}\t{path}\t{reason}\n" for path, reason in bad)
    return Scanned(good, bad)


def read_scanned(tables: Iterable[str | os.PathLike]) -> Scanned:
    """Read tables that ``scan_piece`` wrote.

    Raises:
        InputError: a table is missing or malformed.
    """
    found = Scanned([], [])
    for path in map(Path, tables):
        for line in read_lines(path, ": no such file; run stage 0 (data) again")[1:]:
            fields = line.split("\t")
            if fields[0] == BAD and len(fields) == 3:
                found.bad.append((fields[1], fields[2]))
                continue
            try:
                name, audio, rate, channels, samples = fields
                rate, channels, samples = to_int(rate), to_int(channels), to_int(samples)
            except ValueError:
                raise InputError(
                    f"{path}: '{line}' is not of a table of audio files; remove the file and run "
                    "stage 0 (data) again"
                ) from None
            found.good.append(
                Utterance(name, audio, samples / rate, rate, samples, channels=channels)
            )
    return found


def _convert_foreign(
    sources: dict[str, Path], root: Path, converted: Path, audio_format: str
) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Return {id: readable path}, and (path, reason) of files that could not be converted."""
    targets: dict[Path, Path] = {}
    for path in filter(is_foreign, sources.values()):
        try:
            if ".." in path.parts:
                raise ValueError("would be converted to a file outside --converted")
            relative = path.relative_to(root)
        except ValueError:
            raise InputError(f"{path}: does not lie below --root {root}") from None
        targets[path] = (converted / relative).with_suffix(f".{audio_format}").absolute()
    if not targets:
        return sources, []
    ffmpeg = require_ffmpeg(len(targets), next(iter(targets)))
    results = progress(convert(targets, ffmpeg), total=len(targets), desc="convert", unit="file")
    reasons = {source: reason for source, reason in results if reason}
    good = {key: targets.get(path, path) for key, path in sources.items() if path not in reasons}
    return good, [(str(path), reason) for path, reason in reasons.items()]


def _mark(lines: list[str], converted: str | os.PathLike, audio_format: str) -> str:
    digest = hashlib.sha256("\n".join([*lines, str(converted), audio_format]).encode())
    return f"# {digest.hexdigest()[:16]}"


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as handle:
        return handle.readline().rstrip("\n")
