"""Functions that all programs in ``sv.bin`` share: the parser, messages of errors, exit status."""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from sv.errors import InputError
from sv.machine import memory
from sv.numbers import SECONDS, Number

REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, then run the same command again",
    errno.EDQUOT: "your disk quota is used up: free some space, then run the same command again",
    errno.EFBIG: "the file may not grow further: raise the limit (ulimit -f), then run it again",
    errno.EROFS: "the file system is read-only: choose another output folder",
    errno.EACCES: "permission denied: check the owner and mode of the file and of its folder",
    errno.EEXIST: "it is in the way: rename or remove it",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another output folder",
    errno.EISDIR: "this is a folder where a file is needed: check the path",
    errno.ENOENT: "no such file or folder: check the path",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n 4096), then run it again",
    errno.ENFILE: "too many files are open on this machine: end other programs",
    errno.ENOMEM: "the memory has run out: end other programs, or give the job more memory",
    errno.EAGAIN: "no more processes can be started: raise the limit (ulimit -u), or end some",
}


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults other than None, and keep the line breaks of the description."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Reports an error of the command line in one line, without a page of options."""

    def _print_message(self, message: str, file=None) -> None:
        """Write as argparse does, but raise if writing fails; argparse would ignore it."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit with status 2."""
        self.exit(2, f"error: {message} (--help explains all options)\n")


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser whose ``--help`` shows ``description`` as written and every default."""
    return Parser(description=description, formatter_class=HelpFormatter, allow_abbrev=False)


def add_process_timeout(p: argparse.ArgumentParser) -> None:
    """Add the option of programs that run in several processes (`sv.distributed`)."""
    p.add_argument(
        "--process-timeout",
        type=SECONDS,
        default=1800,
        metavar="SECONDS",
        help="how long one process waits for the others before it gives up. If the time is too "
        "short, the process ends while another still reads its data; if the time is too "
        "long, a lost process is noticed late",
    )


def add_min_speech(p: argparse.ArgumentParser) -> None:
    """Add the option of programs that decide who speaks."""
    p.add_argument(
        "--min-speech",
        type=Number(0, 3600),
        default=0.5,
        metavar="SECONDS",
        help="how much speech a recording needs. With less, the program does not decide. Short "
        "recordings give uncertain scores; 0 decides on anything",
    )


def add_settings(p: argparse.ArgumentParser) -> None:
    """Add the option that overrides single settings."""
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        help="override one setting; repeatable; takes precedence over the file",
    )


def describe_os_error(error: OSError) -> str:
    """Return a sentence about an ``OSError`` that names the file and the remedy."""
    where = f"{error.filename}: " if error.filename else ""
    return where + REMEDIES.get(error.errno, error.strerror or str(error))


def run(main: Callable[[list[str] | None], int | None]) -> None:
    """Call ``main`` and exit with one of these statuses.

    ====  =======================================================================================
    0     ``main`` returned
    1     a failure of the system (``OSError``, no memory), or a defect of ours
    2     bad input or a wrong command line (``InputError``)
    4     the folder has a checkpoint of another training (``OtherTraining``)
    99    a signal stopped a training, and its state is saved (`sv.training.stopping`)
    130   Ctrl-C
    141   the reader of our output has ended
    ====  =======================================================================================

    ``InputError``, ``OSError`` and exhausted memory become one line on stderr. Any other exception
    is a defect of ours and keeps its traceback. If printed output cannot be written, the program
    fails, too.
    """
    _open_closed_stdout()
    _speak_utf8()
    try:
        status = _with_flush(main)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = error.status
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        _discard_stdout()
        status = 141
    except UnwrittenOutput as error:
        print(f"error: {error}", file=sys.stderr)
        _discard_stdout()
        status = 1
    except OSError as error:
        print(f"error: {describe_os_error(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except SystemExit as ending:  # such as the 99 of a training that a signal has stopped
        if not isinstance(ending.code, int):
            raise
        status = ending.code
    except Exception as error:
        found = memory.ran_out(error)
        if found:
            print(
                f"error: {found}: end other programs, give the job more memory, or divide the work",
                file=sys.stderr,
            )
        else:
            traceback.print_exc()
        status = 1
    _leave(status or 0)


def _speak_utf8() -> None:
    """Start Python again in its UTF-8 mode if it treats names of files as ASCII (LC_ALL=C).

    Lists are always UTF-8, so otherwise some files that they name could not be opened.
    """
    if sys.getfilesystemencoding() == "utf-8" and sys.stdout.encoding.lower() == "utf-8":
        return
    if sys.flags.utf8_mode == 0 and os.environ.get("PYTHONUTF8") != "1":
        environment = os.environ | {"PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


class UnwrittenOutput(Exception):
    """Standard output cannot be written: it is closed, or its disk is full."""


def _with_flush(main: Callable[[list[str] | None], int | None]) -> int | None:
    """Call ``main``, then flush what it printed, also if ``main`` exits by itself."""
    try:
        status = main(None)
    except SystemExit:  # --help
        _flush_stdout()
        raise
    _flush_stdout()
    return status


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnwrittenOutput(
            f"standard output takes nothing ({reason}), so the result is not written: give an "
            "open one, such as > FILE"
        ) from None


def _open_closed_stdout() -> None:
    """Replace a closed standard output by one that fails on writing.

    Python sets a closed one to ``None``, and ``print`` then discards its text silently. Also, the
    first file that a program opens would become its standard output.
    """
    if sys.stdout is not None:
        return
    descriptor = os.open(os.devnull, os.O_RDONLY)
    if descriptor != 1:
        os.dup2(descriptor, 1)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)


def _discard_stdout() -> None:
    """Discard what is still in the buffer; else Python would print an error when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(status: int) -> NoReturn:
    """Exit with ``status``; after a failure with other processes, without Python's cleanup.

    Threads that talk to lost processes may abort Python's cleanup (status 134). A late exit would
    also hide which process failed first. And Python would wait for a worker that even SIGKILL has
    not ended, such as one that waits for a dead disk.
    """
    distributed = sys.modules.get("sv.distributed")
    together = distributed is not None and distributed.world_size() > 1
    workers = sys.modules.get("multiprocessing")
    if status and (together or (workers is not None and workers.active_children())):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
