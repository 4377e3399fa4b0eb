"""Reads text files of any origin; all readers of text use this module.

Harmless differences are removed: a byte order mark, Windows line ends, empty lines at the end.
Text that would be read wrongly is an error that names the cause: UTF-16 and UTF-32, compressed
files, line ends of old Macs, bytes that are not UTF-8.

This module imports only the standard library. So the validators start at once, on any Python.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from sv.errors import InputError

BLOCK_BYTES = 1 << 22
MARK = b"\xef\xbb\xbf"
MISSING = ": there is no such file; check the path"
# The longer marks first: that of UTF-32 begins with that of UTF-16.
MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
PACKED = (
    (b"\x1f\x8b", "gzip -d"),
    (b"PK\3\4", "unzip"),
    (b"BZh", "bzip2 -d"),
    (b"\xfd7zXZ", "xz -d"),
)


def read_text(path: str | os.PathLike, missing: str = MISSING) -> str:
    """Return the text of a file with ``\\n`` as line end.

    ``missing``: what follows the path in the message if there is no such file.

    Raises:
        InputError: there is no such file, it is a folder, or it is no UTF-8 text.
    """
    with open_binary(path, missing) as handle:
        return clean(handle.read(), path).decode()


def read_lines(
    path: str | os.PathLike, missing: str = MISSING, *, blanks: str = " \t\v\f"
) -> list[str]:
    """Return the lines without their ends and without ``blanks`` at their ends.

    Line ``i`` of the file is item ``i - 1``; empty lines at the end of the file are left out. In
    tables whose last cell may be empty, a tab must stay: give ``blanks=" "``.

    Raises:
        InputError: see ``read_text``; or the file has nothing but blanks.
    """
    lines = [line.rstrip(blanks) for line in read_text(path, missing).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{path}: is empty")
    return lines


def blocks(
    path: str | os.PathLike, missing: str = MISSING, size: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, whole lines) of a file, ``size`` bytes or more at a time.

    The lines are UTF-8, end in ``\\n``, and have no empty line at the end. Use it for files of
    millions of lines, to save memory.

    Raises:
        InputError: see ``read_text``.
    """
    number, size = 1, size or BLOCK_BYTES
    with open_binary(path, missing) as handle:
        while raw := handle.read(size) + handle.readline():
            block = clean(raw, path, number)
            # Copy these megabytes only if something must be removed or added.
            if block[-1:] != b"\n" or block[-2:-1].isspace():
                block = block.rstrip() + b"\n"
            if block != b"\n":
                yield number, block
            if len(raw) < size:  # the last block: the next number is not needed
                return
            number += raw.count(b"\n")


def open_binary(path: str | os.PathLike, missing: str = MISSING):
    """Open a file to read bytes; raise ``InputError`` if it is missing or a folder."""
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}{missing}") from None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: is a folder, not a file; check the path") from None


def clean(data: bytes, path: str | os.PathLike, number: int = 1) -> bytes:
    """Return whole lines as UTF-8 with ``\\n`` as line end; ``number``: that of the first line.

    In the usual case, plain ASCII with ``\\n``, four searches run at the speed of memory.

    Raises:
        InputError: the text would be read wrongly; see the module.
    """
    if number == 1:
        _refuse_encodings(data, path)
    if b"\0" in data:
        _refuse_zeros(data, path, number)
    if not data.isascii():
        if MARK in data:  # not only at the start: files with a mark may have been joined
            data = data.removeprefix(MARK).replace(b"\n" + MARK, b"\n")
        _refuse_other_bytes(data, path, number)
    return _line_ends(data, path, number) if b"\r" in data else data


def _refuse_encodings(data: bytes, path: str | os.PathLike) -> None:
    for mark, name in MARKS:
        if data.startswith(mark):
            _refuse_wide(path, name)
    for mark, command in PACKED:
        if data.startswith(mark):
            raise InputError(f"{path}: is compressed; unpack it first, with {command}")


def _refuse_wide(path: str | os.PathLike, name: str) -> None:
    raise InputError(
        f"{path}: is {name} text, not UTF-8; convert it: iconv -f {name} -t UTF-8 (if it has no "
        f"byte order mark, {name}LE or {name}BE)"
    )


def _refuse_zeros(data: bytes, path: str | os.PathLike, number: int) -> None:
    """Raise for zero bytes; the message names UTF-16 or UTF-32 if most letters have zero bytes."""
    start = data[:4096].rstrip(b"\0")
    line = number + data[: data.index(0)].count(b"\n")
    if 0 not in data.rstrip(b"\0\n") and data.endswith(b"\0\0\0\0"):
        raise InputError(
            f"{path}:{line}: has nothing but zero bytes from here on, as after a crash or on a "
            "full disk: write or copy the file again"
        )
    of_four = [start[place::4].count(0) / max(1, len(start[place::4])) for place in range(4)]
    if number == 1 and len(start) >= 4:
        if sum(share > 0.8 for share in of_four) >= 2 and sum(of_four) > 2.5:
            _refuse_wide(path, "UTF-32")
        even, odd = sorted((of_four[0] + of_four[2], of_four[1] + of_four[3]))
        if odd > 1.2 and even < 0.2 * odd:
            _refuse_wide(path, "UTF-16")
    raise InputError(
        f"{path}:{line}: has a zero byte: it is no text file, or it is UTF-16 text: check the "
        "path, or convert the file: iconv -f UTF-16LE -t UTF-8"
    )


def _refuse_other_bytes(data: bytes, path: str | os.PathLike, number: int) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = number + data[: error.start].count(b"\n")
        raise InputError(
            f"{path}:{line}: is not UTF-8 text (the byte 0x{data[error.start]:02x}); convert the "
            "file, for example with iconv -f LATIN1 -t UTF-8"
        ) from None


def _line_ends(data: bytes, path: str | os.PathLike, number: int) -> bytes:
    while b"\r\n" in data:  # repeated, because tools for line ends may have been used twice
        data = data.replace(b"\r\n", b"\n")
    data = data.rstrip(b"\r")  # a last line without line feed
    if b"\r" in data:
        line = number + data[: data.index(b"\r")].count(b"\n")
        raise InputError(
            f"{path}:{line}: has a carriage return inside the line, as old Macs end their lines; "
            r"convert the file: tr '\r' '\n'"
        )
    return data
