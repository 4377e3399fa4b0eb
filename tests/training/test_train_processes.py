"""Training in two processes: as in one, exact when resumed, and it ends when one process dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_methods import COMMON
from tiny_training import words

from sv import checkpoint
from sv.bin import train

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = [sys.executable, ROOT / "utils" / "processes"]
MODULE = ["-m", "sv.bin.train"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
EPOCHS = 4
SETTINGS = [
    *COMMON,
    "augment.time_masks=1",
    "train.batch_size=7",  # of two processes: one has an item more than the other
    "method.temperature=0.1",
    "data.normalise=none",
    "optim.name=sgd",  # adam makes whole steps of gradients that are rounding alone
    "optim.lr=0.000001",
    "ssps.enabled=true",
    "ssps.clusters=4",
    "ssps.reference_seconds=0.2",
    "ssps.start_epoch=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features):
    return write_features(tmp_path_factory.mktemp("data"), [30 + n for n in range(24)])


def arguments(data, out, epochs):
    return words(data, out, [*SETTINGS, f"train.epochs={epochs}"])


def weights(out, epoch):
    return checkpoint.load(checkpoint.epoch_path(out, epoch))["encoder"]


def begin(*command):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stderr=subprocess.PIPE, text=True
    )


def children(process):
    """Return the process ids of its children, in the order of their start."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def together(data, tmp_path_factory):
    """An experiment that torchrun trained in two processes, without interruption."""
    out = tmp_path_factory.mktemp("exp") / "together"
    process = begin(*TORCHRUN, *MODULE, *arguments(data, out, EPOCHS))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return out


def test_two_processes_train_as_one(data, together, tmp_path):
    train.main(arguments(data, tmp_path / "alone", EPOCHS))
    start, first_bits = flat(weights(tmp_path / "alone", 0)), flat(weights(together, 0))
    assert torch.equal(start, first_bits)
    for epoch, tolerance in ((1, 0.05), (EPOCHS, 0.25)):
        alone, shared = flat(weights(tmp_path / "alone", epoch)), flat(weights(together, epoch))
        # Rounding grows from step to step: gradients of small batches of noise are very large.
        assert (shared - alone).norm() < tolerance * (alone - start).norm()

    losses = [
        [json.loads(line)["loss"] for line in (out / "train.jsonl").read_text().splitlines()]
        for out in (tmp_path / "alone", together)
    ]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def flat(state):
    """Weights as one vector, without statistics of batch norms."""
    return torch.cat(
        [v.flatten() for name, v in state.items() if name.endswith(("weight", "bias"))]
    )


@pytest.mark.thorough
def test_two_machines_stopped_and_resumed_give_the_same_bits(data, together, tmp_path):
    """Two agents find each other by a file; SIGTERM to one alone stops both with status 99."""
    out = tmp_path / "stopped"
    machines = [
        begin(
            *PROCESSES, "--node", node, "--nodes", 2, "--meet", tmp_path / "meet", 1,
            *MODULE, *arguments(data, out, EPOCHS),
        )
        for node in (1, 2)
    ]  # fmt: skip
    wait_for(checkpoint.epoch_path(out, 2).exists, machines[0])
    machines[1].send_signal(signal.SIGTERM)
    for machine in machines:
        _, errors = machine.communicate(timeout=120)
        assert machine.returncode == 99, errors
    assert not checkpoint.epoch_path(out, EPOCHS).exists() and not (tmp_path / "meet").exists()
    process = begin(*PROCESSES, 2, *MODULE, *arguments(data, out, EPOCHS))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    one, other = weights(together, EPOCHS), weights(out, EPOCHS)
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = (out / "train.jsonl").read_text().splitlines()
    assert len(rows) == EPOCHS  # one process writes


def test_a_process_that_dies_ends_the_others(data, tmp_path):
    out = tmp_path / "dies"
    process = begin(*PROCESSES, 2, *MODULE, *arguments(data, out, 500))
    wait_for(checkpoint.epoch_path(out, 1).exists, process)
    os.kill(children(process)[1], signal.SIGKILL)
    started = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 137 and time.monotonic() - started < 50
    assert "Traceback" not in errors
    assert "process 1 of 2 has lost the others" in errors


def test_processes_end_in_order_when_their_launcher_is_killed(data, tmp_path):
    out = tmp_path / "orphans"
    process = begin(*PROCESSES, 2, *MODULE, *arguments(data, out, 500))
    wait_for(checkpoint.epoch_path(out, 1).exists, process)
    process.kill()
    _, errors = process.communicate(timeout=60)  # which waits for all that hold the pipe
    assert "Traceback" not in errors and checkpoint.load_state(out) is not None


def test_a_process_that_hangs_is_given_up_after_the_time_out(data, tmp_path):
    out = tmp_path / "hangs"
    words = [*arguments(data, out, 500), "--process-timeout", 5]
    process = begin(*PROCESSES, 2, *MODULE, *words)
    wait_for(checkpoint.epoch_path(out, 1).exists, process)
    first, second = children(process)
    os.kill(second, signal.SIGSTOP)
    started = time.monotonic()
    wait_for(lambda: children(process) == [second], process)
    assert time.monotonic() - started < 40
    os.kill(second, signal.SIGCONT)  # or it would be killed a minute later
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in errors
    assert "process 1 of 2 has lost the others" in errors and "--process-timeout" in errors


def test_a_batch_that_cannot_be_shared_is_refused(data, tmp_path, monkeypatch):
    from sv import distributed
    from sv.errors import InputError

    monkeypatch.setattr(distributed, "world_size", lambda: 8)
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    with pytest.raises(
        InputError, match="batch_size is 7, of all 8 processes together: each needs"
    ):
        train.main(arguments(data, tmp_path / "x", 1))
