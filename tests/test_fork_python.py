"""The stand-in for the interpreter behaves as the interpreter does."""

import signal
import subprocess
import sys

import pytest
from fork_server import fork_python

pytestmark = pytest.mark.whole

CODE = """
import os, sys
print(sys.stdin.read() + os.environ["WORD"] + os.getcwd() + repr(sys.argv))
print("to the user", file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize(
    "command",
    [
        ["-c", CODE, "a b", ""],
        ["-m", "program", "--k", "é"],
        ["program.py", "x"],
        ["-u", "program.py", "x"],  # flags: a real interpreter
        ["-c", "raise ValueError('wrong')"],
        ["-c", "import sys; sys.exit('a message')"],
        ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
        ["-c", "import atexit; atexit.register(print, 'last')"],
        ["-m", "no_such_module"],
    ],
    ids=lambda command: " ".join(command)[:30],
)
def test_a_call_ends_as_with_the_interpreter(tmp_path, command):
    (tmp_path / "program.py").write_text(CODE)
    results = []
    for python in (sys.executable, fork_python()):
        done = subprocess.run(
            [python, *command],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "WORD": "w", "PYTHONPATH": ""},
            input="given ",
            capture_output=True,
            text=True,
        )
        last = done.stderr.strip().rpartition("\n")[2].rpartition(": ")[2]
        results.append((done.returncode, done.stdout.replace(str(tmp_path) + "/", ""), last))
    assert results[0] == results[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_program(number):
    code = "import time; print('started', flush=True); time.sleep(60)"
    for python in (sys.executable, fork_python()):
        process = subprocess.Popen(
            [python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout.readline() == b"started\n"
        process.send_signal(number)
        process.stdout.close()
        assert process.wait(20) == -number, python
