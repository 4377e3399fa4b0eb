"""Training that fails while readers are at work ends, says why, and keeps its checkpoints."""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import TINY, words

from sv import checkpoint, cli
from sv.bin import train
from sv.errors import OutOfMemory

pytestmark = pytest.mark.whole

SETTINGS = [*TINY, "data.normalise=none", "train.workers=2"]
PATIENCE = 120


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    return write_features(tmp_path_factory.mktemp("data"), [50 + n for n in range(24)])


def arguments(data, out, *more):
    return words(data, out, [*SETTINGS, *more])


def live(command, errors):
    """Train in a fork, as the program does."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT, 0o666), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    try:
        cli.run(lambda _: train.main(command))
    except SystemExit as ended:
        sys.stderr.flush()
        os._exit(ended.code)


@contextlib.contextmanager
def running(data, out):
    """Yield a training after its first epoch, the process ids of its readers, and its errors."""
    command = arguments(data, out, "train.epochs=5000")
    errors = out.with_suffix(".err")
    # The first reading of a batch imports much: not in each fork.
    process = multiprocessing.get_context("fork").Process(target=live, args=(command, errors))
    process.start()
    try:
        wait_for(lambda: checkpoint.state_path(out).exists() or not process.is_alive())
        wait_for(lambda: len(children(process.pid)) == 2 or not process.is_alive())
        assert process.is_alive(), errors.read_text()
        yield process, children(process.pid), errors
    finally:
        process.kill()
        process.join()


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def children(process):
    with contextlib.suppress(FileNotFoundError):
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(number) for number in text.split()]
    return []


def gone(process):
    """Return whether a process has ended; its parent may not have taken note yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_reader_that_the_system_kills_ends_training_in_order(data, tmp_path):
    out = tmp_path / "exp"
    with running(data, out) as (process, readers, errors):
        os.kill(readers[1], signal.SIGKILL)
        process.join(PATIENCE)
        assert process.exitcode == 1 and all(map(gone, readers))
    last = errors.read_text().splitlines()[-1]
    assert last.startswith(f"error: a data reader (process {readers[1]}) was killed by SIGKILL")
    assert "Traceback" not in errors.read_text()
    assert checkpoint.load_state(out)["epoch"] >= 1


@pytest.mark.parametrize("times", [1, 3])
def test_signals_end_training_while_readers_hang(data, tmp_path, times):
    """At once, to a state from which it goes on: no batch is waited for."""
    out = tmp_path / "exp"
    with running(data, out) as (process, readers, errors):
        for reader in readers:
            os.kill(reader, signal.SIGSTOP)
        for _ in range(times):
            os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.05)
        process.join(PATIENCE)
        assert process.exitcode == 99, errors.read_text()
        assert all(map(gone, readers))
    assert checkpoint.load_state(out)["epoch"] >= 1


def test_readers_end_with_a_training_that_was_killed(data, tmp_path):
    with running(data, tmp_path / "exp") as (process, readers, _):
        os.kill(readers[0], signal.SIGSTOP)
        process.kill()
        wait_for(lambda: all(map(gone, readers)))


def test_memory_that_runs_out_is_said_with_what_to_lower(data, tmp_path, monkeypatch):
    real, calls = torch.optim.Adam.step, []

    def step(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            torch.empty(1 << 50)
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    with pytest.raises(OutOfMemory) as caught:
        train.main(arguments(data, tmp_path, "train.epochs=20", "optim.name=adam"))
    told = str(caught.value)
    assert told.startswith("the memory has run out (it had no 4,503.6 TB more): lower ")
    for setting in ("train.workers (2)", "train.batch_size (8)", "data.crop_seconds (0.3)"):
        assert setting in told
    assert not multiprocessing.active_children()
    assert checkpoint.load_state(tmp_path)["epoch"] == 1


def test_the_memory_of_a_gpu_has_a_remedy_of_its_own(data, tmp_path, monkeypatch):
    from sv.methods.dino import DINO

    def out_of_memory(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    monkeypatch.setattr(DINO, "training_step", out_of_memory)
    dino = ["method.name=dino", "method.hidden=[16]", "method.global_seconds=0.3"]
    with pytest.raises(OutOfMemory) as caught:
        train.main(arguments(data, tmp_path, "train.epochs=1", *dino))
    told = str(caught.value)
    assert told.startswith("the GPU's memory has run out (it had no 2.00 GiB more)")
    assert "--ngpu" in told and "method.global_seconds (0.3)" in told


@pytest.mark.parametrize("late", [False, True])
def test_a_signal_long_after_the_first_ends_training_at_once(data, tmp_path, monkeypatch, late):
    """What hangs outside of reading is not waited for a second time; the last state stands."""
    from sv.methods.simclr import SimCLR
    from sv.training import stopping

    steps, real = [], SimCLR.training_step

    def training_step(self, views):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, views)

    monkeypatch.setattr(SimCLR, "training_step", training_step)
    monkeypatch.setattr(stopping, "PATIENCE", -1.0 if late else 1000.0)
    with pytest.raises(stopping.Interrupted):
        train.main(arguments(data, tmp_path, "train.epochs=20"))
    state = checkpoint.load_state(tmp_path)
    assert (state["epoch"], state["step"]) == ((1, 0) if late else (1, 2))
