"""Worker processes end with their parent, hold nobody up, and their end is told."""

import errno
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from sv.errors import InputError, LostWorker, Truncated
from sv.machine import workers

PATIENCE = 60


def closes(pipe):
    """Wait until nobody holds the other end of a pipe; False if that takes too long."""
    return bool(select.select([pipe], [], [], PATIENCE)[0]) and not os.read(pipe, 1)


def double(number):
    return 2 * number


def fail(kind, *words):
    raise kind(*words)


def kill_self(number):
    os.kill(os.getpid(), number)


def kill_at(number, bad):
    if number == bad:
        kill_self(signal.SIGKILL)
    return 2 * number


def test_a_child_returns_or_raises_what_the_function_does():
    assert workers.in_child(double, 21, what="x") == 42
    with pytest.raises(InputError, match="^no such voice$"):
        workers.in_child(fail, InputError, "no such voice", what="x")
    with pytest.raises(Truncated, match="^a.wav is cut off$"):
        workers.in_child(fail, Truncated, "is cut off", "a.wav", what="x")
    with pytest.raises(PermissionError) as caught:
        workers.in_child(fail, OSError, errno.EACCES, "denied", "there", what="x")
    assert caught.value.filename == "there"
    with pytest.raises(RuntimeError, match="(?s)in a worker process:.*ZeroDivisionError: x"):
        workers.in_child(fail, ZeroDivisionError, "x", what="x")
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "SIGKILL, as the system does"), (signal.SIGXCPU, "SIGXCPU$")],
)
def test_a_child_that_was_killed_is_named(number, words):
    with pytest.raises(LostWorker, match=f"^the speaker was killed by {words}"):
        workers.in_child(kill_self, number, what="the speaker")


def test_results_of_several_processes_are_in_order():
    results = workers.in_processes(double, range(40), 2, chunk=3, what="x", remedy="y")
    assert list(results) == list(range(0, 80, 2))
    assert not multiprocessing.active_children()


def test_one_of_several_processes_that_was_killed_is_named():
    work = partial(kill_at, bad=30)
    with pytest.raises(LostWorker, match="a job was killed by SIGKILL.*: give fewer$"):
        list(workers.in_processes(work, range(40), 2, chunk=1, what="a job", remedy="give fewer"))
    assert not multiprocessing.active_children()


def test_nobody_waits_for_the_rest_after_a_failure():
    results = workers.in_processes(time.sleep, [0, 0, 3600, 3600], 2, chunk=1, what="x", remedy="y")
    next(results)
    results.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_to_a_group_do_not_end_a_worker_and_a_stopped_one_can_be_ended(number):
    process = workers.start(time.sleep, 3600)
    for sent in (number, signal.SIGSTOP):
        os.kill(process.pid, sent)
    assert process.is_alive()
    workers.end([process])
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("pool", [False, True])
def test_workers_end_when_their_parent_is_killed(pool):
    read, write = os.pipe()
    started, told = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(read)
        if pool:
            tasks = workers.in_processes(
                tell_and_sleep, [told] * 4, 2, chunk=1, what="x", remedy="y"
            )
            next(tasks)
        else:
            workers.start(tell_and_sleep, told)
            time.sleep(3600)
        os._exit(0)
    os.close(write)
    os.read(started, 1)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert closes(read)  # the workers had it open
    for end in (read, started, told):
        os.close(end)


def tell_and_sleep(pipe):
    os.write(pipe, b".")
    time.sleep(3600)


@pytest.mark.parametrize("ending", ["raise ValueError('a defect')", "sys.exit(1)"])
def test_a_program_that_fails_does_not_wait_for_its_workers(root, ending):
    """Python would join them, and they take no notice of the SIGTERM that it sends before."""
    code = (
        f"import sys, time; from sv.machine import workers; workers.start(time.sleep, 3600); "
        f"{ending}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 1
