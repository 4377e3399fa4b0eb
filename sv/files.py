"""Writes files so that a reader never sees half of one, and hashes files."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike, mode: str = "w", former: str | os.PathLike | None = None
) -> Iterator[IO]:
    """Open a temporary neighbour of ``path``; rename it to ``path`` only if the block succeeds.

    On any exception (a full disk, Ctrl-C) the temporary file is removed, and an older ``path``
    stays as it was. Parent folders are created. Text is UTF-8 with ``\\n`` line ends. If ``former``
    is given, the old file gets that name after the new one has been flushed to the disk; so even
    after a power cut one of the two is complete. A stream (``is_stream``) is written directly.
    """
    path = Path(path)
    if is_stream(path):
        with _open_to_write(path, mode) as handle:
            yield handle
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _open_to_write(temporary, mode) as handle:
            yield handle
            if former is not None:
                handle.flush()
                os.fsync(handle.fileno())
        if former is not None and path.exists():
            path.replace(former)
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the error of a failed write does not name the file
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _open_to_write(path: Path, mode: str) -> IO:
    return path.open(mode, **({} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}))


def is_stream(path: str | os.PathLike) -> bool:
    """Tell whether a path is a device or a pipe, such as ``/dev/stdout``.

    Such a path must not be replaced by a file: root would lose ``/dev/null``.
    """
    path = Path(path)
    folder = path.parent.resolve()
    if folder == Path("/dev") or folder.is_relative_to("/proc"):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def utf8(path: str | os.PathLike) -> bytes:
    """Return the bytes of a path in UTF-8, whatever the locale is."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape")


def shown(path: str | os.PathLike) -> str:
    r"""Return a path for messages, lists and ids: UTF-8 without line breaks.

    Other bytes are escaped, for example as ``\xe9``.
    """
    text = utf8(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def digest(path: str | os.PathLike, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of the file by an algorithm of ``hashlib``."""
    result = hashlib.new(algorithm)
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            result.update(block)
    return result.hexdigest()


def sha256(path: str | os.PathLike, digits: int = 12) -> str:
    """Return the first ``digits`` hexadecimal digits of the file's SHA-256."""
    return digest(path)[:digits]


def is_folder(entry: os.DirEntry) -> bool:
    """Tell whether an entry is a folder or a link to one; false for a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False
