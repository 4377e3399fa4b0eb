"""Replaces whole directories at once, and writes Kaldi's two-column text files."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sv.errors import InputError
from sv.files import atomic_write


@contextlib.contextmanager
def replaced_directory(target: str | os.PathLike, marker: str) -> Iterator[Path]:
    """Yield an empty temporary directory beside ``target``; it replaces ``target`` on success.

    An older ``target`` stays as it is until the block has succeeded. It is then removed completely,
    so an old file (such as a stale ``feats.scp``) never mixes with the new content. On an exception
    the temporary directory is removed, and an ``OSError`` names ``target``. On success, what killed
    runs have left is removed, too.

    Raises:
        InputError: ``target`` is a file, or it is a non-empty folder without the file ``marker``,
            which may belong to somebody else.
    """
    target = Path(target)
    if target.is_symlink():  # a data folder on another disk: replace what the link points to
        target = target.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file where a folder is to be written; move it away")
    if target.is_dir() and any(target.iterdir()) and not (target / marker).exists():
        raise InputError(
            f"{target}: holds files but no {marker}, so it is not a data directory of ours and is "
            "not replaced; choose another output folder, or remove this one yourself"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _remove_leftovers(target)  # before the swap, after which the directory counts as complete
        _swap(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):  # its message must not name the temporary directory
            name = str(error.filename or target)
            error.filename = name.replace(str(temporary), str(target))
        raise


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove temporary directories of ``target`` whose process has ended."""
    hidden = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.(tmp|old)")
    for neighbour in target.parent.iterdir():
        found = hidden.fullmatch(neighbour.name)
        if found and not _runs(found[1]):
            shutil.rmtree(neighbour, ignore_errors=True)


def _runs(process: str) -> bool:
    """Return whether a process runs and is no zombie (proc(5), the field after ")")."""
    try:
        state = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def write_table(
    path: str | os.PathLike, rows: Iterable[tuple[object, object]], *, in_order: bool = False
) -> None:
    """Write ``key value`` lines sorted by key in C locale (the order of UTF-8 bytes).

    ``in_order``: keep the order of ``rows``, for a file that is read line by line with another.
    """
    with atomic_write(path) as handle:
        # Python sorts by code points; this order equals that of the UTF-8 bytes.
        ordered = rows if in_order else sorted(rows)
        handle.writelines(f"{key} {value}\n" for key, value in ordered)
