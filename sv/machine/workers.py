"""Worker processes, which end with the process that started them, and reports on how they ended.

All programs start their worker processes here. A worker never outlives its parent, however the
parent ends. If the parent fails, it does not wait for its workers.
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
"""Signals that launchers send to a whole process group; the parent handles them."""

PR_SET_PDEATHSIG = 1  # of prctl(2)
PATIENCE = 5.0
"""Seconds to wait for a killed worker; one that waits for a dead disk may never end."""

_started: set[BaseProcess] = set()
os.register_at_fork(after_in_child=_started.clear)  # these workers belong to the parent


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run a function in a fork of this process; only `end` or the end of this process stops it."""
    # Signals are blocked until the fork ignores them; else one could end the fork, or be lost.
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
    if os.getppid() != parent:  # the parent ended before the call above
        os._exit(1)


def end(processes: Iterable[BaseProcess]) -> None:
    """Kill workers, whatever they do, and wait a few seconds for them to end."""
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
    """Return how a process ended, as words that follow its name in a sentence."""
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
    """Call a function in a fork of this process; return its result, or raise its exception.

    what: the name of the worker in a message.

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
    """Yield ``function(item)`` for all items, in order, computed by ``jobs`` processes.

    chunk: number of items that a process takes at a time.
    what, remedy: the beginning and the end of a message.

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
        # The pool stops the others with SIGTERM as soon as one is lost.
        pool.shutdown()  # else two threads could ask for the status of a process, and both miss it
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
