"""Downloads over https that continue after an interruption and are checked at the end.

The bytes that have arrived are in ``.<name>.part`` beside the target. A later download continues
this file only if there is a checksum, which shows whether the two parts fit together. The file gets
the name of the target only after the check.
"""

import contextlib
import errno
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

from sv.errors import InputError
from sv.files import digest
from sv.progress import progress

SCHEMES = ("https",)
TIMEOUT = 60.0
BLOCK = 1 << 18
ATTEMPTS = 5
PAUSE = 5.0
"""Seconds before the second attempt; the pause doubles before each further attempt."""


def download(urls: Sequence[str], target: str | os.PathLike, checksum: str | None = None) -> bool:
    """Fetch ``target`` from the first of ``urls`` that has it; return False if it exists already.

    Args:
        urls: the original address, then mirrors.
        target: path of the file. An existing file with the right checksum is kept; without a
            checksum, any existing file is kept.
        checksum: ``<algorithm>:<hexadecimal digits>`` of the whole file, e.g. ``md5:0c47...``.

    Raises:
        InputError: an address is not https, the file has another checksum, or no address answers.
    """
    target = Path(target)
    for url in urls:
        if urllib.parse.urlsplit(url).scheme not in SCHEMES:
            raise InputError(f"{url}: is not an address that begins with {SCHEMES[0]}://")
    if target.exists():
        if checksum and not _matches(target, checksum):
            raise InputError(
                f"{target}: is not the published file ({checksum} is expected); move it away to "
                "download it again"
            )
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    if not checksum:
        part.unlink(missing_ok=True)
    reasons = []
    for url in urls:
        problem = _fetch_patiently(url, part, resume=checksum is not None)
        if not problem and checksum and not _matches(part, checksum):
            part.unlink()
            problem = f"what came is not the published file ({checksum} is expected)"
        if not problem:
            part.replace(target)
            return True
        reasons.append(f"{url}: {problem}")
    raise InputError(
        f"{target}: cannot be downloaded ({'; '.join(reasons)}); run it again to go on, or fetch "
        "the file on another machine and put it there"
    )


def unpack(archive: str | os.PathLike, member: str, folder: str | os.PathLike) -> None:
    """Unpack the folder ``member`` of a .tar.gz or .zip file as ``folder``.

    ``folder`` appears only after everything has been unpacked.

    Raises:
        InputError: the archive is damaged, would write outside the folder, or has no ``member``.
    """
    archive, folder = Path(archive), Path(folder)
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    scratch.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(scratch)  # drops ".." and leading "/" of names
        else:
            _unpack_tar(archive, scratch)
        if not (scratch / member).is_dir():
            raise InputError(f"{archive}: has no folder {member}: is it the right archive?")
        (scratch / member).replace(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({error}); remove it and download it again"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack plain files and folders; lhotse's ``safe_extract`` would follow links to outside."""
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as opened:
        for member in progress(opened, desc=f"unpack {archive.name}", unit="file"):
            parts = Path(member.name).parts
            if ".." in parts or Path(member.name).is_absolute():
                raise InputError(f"{archive}: would write {member.name} outside its folder")
            if member.isfile() or member.isdir():
                opened.extract(member, folder, **safe)


def _matches(path: Path, checksum: str) -> bool:
    algorithm, _, expected = checksum.partition(":")
    try:
        return digest(path, algorithm) == expected.lower()
    except ValueError:
        raise InputError(
            f"checksum {checksum}: is not <algorithm>:<digits>, such as md5:0c47 or sha256:9f86"
        ) from None


def _fetch_patiently(url: str, part: Path, resume: bool) -> str:
    """Fetch, and try again as long as bytes arrive; return what was wrong, or ""."""
    attempt = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(url, part, resume)
            return ""
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} {error.reason}"
            if error.code < 500:
                return problem
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, OSError) as error:
            if getattr(error, "filename", None):  # an error of our file, such as a full disk
                raise
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        grown = resume and part.exists() and part.stat().st_size > before
        attempt = 1 if grown else attempt + 1
        if attempt >= ATTEMPTS:
            return problem
        time.sleep(PAUSE * 2 ** (attempt - 1))


def _fetch(url: str, part: Path, resume: bool) -> None:
    start = part.stat().st_size if resume and part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "sv-toolkit"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # no bytes are left to send; the checksum decides
            return
        raise
    with answer:
        goes_on = answer.status == 206
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise urllib.error.URLError("the server continues at another byte than requested")
        if not goes_on:
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        try:
            _store(answer, part, start, total)
        except OSError as error:
            if error.filename is None and error.errno in _DISK_ERRORS:
                error.filename = str(part)
            raise
    if total is not None and part.stat().st_size < total:
        raise urllib.error.URLError("the connection ended before the end of the file")


_DISK_ERRORS = (errno.EFBIG, errno.ENOSPC, errno.EROFS, errno.EDQUOT)


def _store(answer, part: Path, start: int, total: int | None) -> None:
    bar = progress(total=total, initial=start, desc=part.name.strip(".")[:30], unit="B")
    with part.open("ab" if start else "wb") as handle, contextlib.closing(bar):
        while block := answer.read(BLOCK):
            handle.write(block)
            bar.update(len(block))
