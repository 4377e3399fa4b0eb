"""Worker processes: they end with the process that started them, and how they ended is reported.

Every program that has worker processes starts them here. A worker never outlives its parent,
however the parent ends. If the parent fails, it does not wait for its workers.
"""

import atexit
import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from sv.errors import InputError, LostWorker

Result = TypeVar("Result")

FORK = multiprocessing.get_context("fork")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""What launchers send to a whole process group: the parent answers them, in order."""

PR_SET_PDEATHSIG = 1  # of prctl(2)
PATIENCE = 5.0
"""Seconds for a killed worker to go; one that waits for a dead disk may take for ever."""

_started: set[BaseProcess] = set()
os.register_at_fork(after_in_child=_started.clear)  # those are the parent's


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run a function in a fork of this process; only `end`, or our own end, stops it."""
    # Blocked until the fork ignores them: a signal in between would end it, or be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        whole = (os.getpid(), before, function, arguments)
        process = FORK.Process(target=_run, args=whole, daemon=True)
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _started.add(process)
    return process


def _run(parent: int, mask: set, function: Callable[..., None], arguments: tuple) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    end_with(parent)
    function(*arguments)


def end_with(parent: int) -> None:
    """Let the kernel kill this process as soon as its parent has ended."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def end(processes: Iterable[BaseProcess]) -> None:
    """Kill workers, whatever they do, and wait a little for them to go."""
    processes = list(processes)
    for process in processes:
        process.kill()
    for process in processes:
        process.join(PATIENCE)
    _started.difference_update(processes)


@atexit.register
def _end_all() -> None:
    end(_started)


def how_it_ended(process: BaseProcess) -> str:
    """Return in words how a process ended, to follow its name in a sentence."""
    process.join(PATIENCE)
    code = process.exitcode
    if code is None:
        return "does not answer"
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    causes = {
        "SIGKILL": ", as the system does when memory runs out",
        "SIGBUS": ": memory ran out, or a file became shorter while it was read",
    }
    return f"was killed by {name}{causes.get(name, '')}"


def in_child(function: Callable[..., Result], *arguments: Any, what: str) -> Result:
    """Return what a function returns in a fork of this process; raise what it raises there.

    what: names the worker in the sentence of an error.

    Raises
    ------
    LostWorker: the fork was killed.
    """
    ours, theirs = FORK.Pipe(duplex=False)
    process = start(_answer, theirs, function, arguments)
    theirs.close()
    try:
        worked, value = ours.recv()
    except EOFError:
        raise LostWorker(f"{what} {how_it_ended(process)}") from None
    finally:
        ours.close()
        end([process])
    if not worked:
        raise value
    return value


def _answer(connection, function: Callable[..., Any], arguments: tuple) -> None:
    try:
        answer = True, function(*arguments)
    except (InputError, OSError, MemoryError) as error:
        answer = False, error
    except Exception:
        answer = False, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
    connection.send(answer)


def in_processes(
    function: Callable[[Any], Result],
    items: Sequence,
    jobs: int,
    *,
    chunk: int,
    what: str,
    remedy: str,
) -> Iterator[Result]:
    """Yield ``function(item)`` of all items, in order, worked out by ``jobs`` processes.

    chunk: items that a process takes at a time.
    what, remedy: begin and end the sentence of an error.

    Raises
    ------
    LostWorker: one of the processes was killed.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, FORK, initializer=_begin, initargs=(os.getpid(),))
    workers: set[BaseProcess] = set()
    try:
        results = pool.map(function, items, chunksize=chunk)
        workers = set(multiprocessing.active_children()) - others
        yield from results
        pool.shutdown()
    except BrokenProcessPool:
        # The pool stops the others by SIGTERM as soon as one is lost.
        pool.shutdown()  # two threads that ask at once for the status of a process can both miss it
        ended = [how_it_ended(process) for process in workers if process.exitcode]
        told = [text for text in ended if "SIGTERM" not in text] or ended or ["has gone"]
        raise LostWorker(f"{what} {told[0]}: {remedy}") from None
    finally:
        for process in workers:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group
    end_with(parent)
