"""How the tests of the queues start jobs and wait for what they do."""

import subprocess
import sys
import time
from pathlib import Path

LAUNCH = Path(__file__).resolve().parent.parent / "utils" / "launch"


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start(backend, environment, cwd, *words):
    command = [sys.executable, LAUNCH, "--backend", backend, *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)


def launch(backend, environment, cwd, *words):
    process = start(backend, environment, cwd, *words)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr
