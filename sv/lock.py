"""Locks that allow one run at a time on the same results and end with the process that holds them.

The kernel holds the lock; the existence of the file means nothing. So no file has to be removed
after ``kill -9`` or a power cut. The file only says who holds the lock, and it is never removed.
"""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from sv.errors import InputError

logger = logging.getLogger(__name__)

_HELD = (errno.EACCES, errno.EAGAIN)


def take(handle: int, path: Path, what: str, *, inherited: bool, wait: float = 0.0) -> None:
    """Lock the open file ``handle`` (its number), whose name is ``path``; write who holds it.

    Stages use a lock of the open file: jobs of a killed stage script still write, so they must keep
    its lock. A training uses a lock of its process: its readers may live some seconds longer, and
    they must not keep the next training from starting.

    inherited: true: the lock belongs to the open file, so processes that inherit the file hold it,
    too, and it ends with the last of them. False: it belongs to this process alone, and no child
    keeps it.
    wait: seconds to wait until another run has ended.

    Raises:
        InputError: another run holds the lock; ``what`` names its work in the message.
    """
    end = time.monotonic() + wait
    while (held := _try(handle, path, inherited)) and time.monotonic() < end:
        time.sleep(0.2)
    if held:
        holder = path.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        raise InputError(
            f"{what}: another run is at work on it ({holder}): wait until it has ended, or end it"
        )
    os.truncate(handle, 0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}, {now}\n".encode())


def _try(handle: int, path: Path, inherited: bool) -> bool:
    """Lock the open file if no other run holds it; return whether one does."""
    try:
        (fcntl.flock if inherited else fcntl.lockf)(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return True
        logger.warning("%s: this file system has no locks (%s): run one at a time", path, error)
    return False


@contextlib.contextmanager
def locked(path: str | os.PathLike, what: str) -> Iterator[None]:
    """Hold the lock ``path`` during the block, for this process alone.

    Raises:
        InputError: another process holds the lock.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A separate handle: workers that are forked now and outlive us must not keep the lock.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        take(handle, path, what, inherited=False)
        yield
    finally:
        os.close(handle)
