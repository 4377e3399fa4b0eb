"""A Python that has its packages loaded already, for tests that start many short programs.

A recipe of a minute is some hundred programs. Each of them loads torch and its friends for two
seconds and works for a tenth of one. ``fork_python()`` returns a command that stands in for the
interpreter: a server loads the packages once (never ``sv``, which is another one in each clone) and
forks for each call. The call keeps its arguments, environment, folder, descriptors and exit
status. One test of each recipe still uses the real interpreter.
"""

import array
import atexit
import contextlib
import functools
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

HEADER = 8  # bytes of the length of a request
PRELOADED = (
    "numpy",
    "torch",
    "torch.utils.data",
    "torch.nn.functional",
    "torchaudio.functional",
    "torchaudio.compliance.kaldi",
    "soundfile",
    "yaml",
    "kaldiio",
    "lhotse",
    "safetensors.torch",
    "sklearn.cluster",
    "scipy.linalg",
    "tensorboard.compat.proto.event_pb2",
    "matplotlib.figure",
    "onnxruntime",
)


@functools.cache
def fork_python():
    """The command that stands in for ``sys.executable``; the server ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="fork-python-"))
    address, command = folder / "socket", folder / "python"
    here = Path(__file__).resolve()
    client = here.with_name("fork_client.py")
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -S '{client}' '{address}' \"$@\"\n")
    command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, str(here), str(address)],
        stdin=subprocess.PIPE,  # its end tells the server that the tests are over
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout.readline() == b"ready\n", "the fork server does not start"

    def stop():
        server.stdin.close()
        server.wait()
        for path in (address, command):
            path.unlink(missing_ok=True)
        folder.rmdir()

    atexit.register(stop)
    return str(command)


def serve(address):
    """Fork for each connection until the standard input ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    for name in PRELOADED:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            __import__(name)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a handler that ends leaves nothing to wait for
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            handle(connection)
        connection.close()


def handle(connection):
    """Run one request in a process of its own; end it when the caller is gone. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, descriptors = receive(connection)
    worker = os.fork()
    if worker == 0:
        connection.close()
        work(request, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(worker)
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            break
        word = connection.recv(1)
        try:
            if word:
                os.kill(worker, word[0])  # a signal that the caller was sent
            else:
                os.killpg(worker, signal.SIGKILL)  # the caller was killed
        except ProcessLookupError:
            pass
        if not word:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(status).encode())
    os._exit(0)


def receive(connection):
    """The request (``argv``, ``cwd``, ``environment``) and the caller's first three descriptors."""
    numbers = array.array("i")
    data, control, _, _ = connection.recvmsg(HEADER, socket.CMSG_SPACE(3 * numbers.itemsize))
    for _, _, sent in control:
        numbers.frombytes(sent)
    size = int.from_bytes(data, "little")
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return json.loads(body), list(numbers)


def work(request, descriptors):
    """Become the program of a request. Never returns."""
    os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit():
        sys.modules["torch"].set_num_threads(int(limit))
    sys.path[0] = request["cwd"]
    sys.path[1:1] = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    status, interrupted = 1, False
    try:
        run(request["argv"])
        status = 0
    except SystemExit as end:
        status = end.code
        if status is None:
            status = 0
        elif not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except KeyboardInterrupt:
        traceback.print_exc()
        interrupted = True
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            if interrupted:  # the interpreter ends by the signal itself
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGINT)
            os._exit(status & 255)


def run(argv):
    """``-m MODULE``, ``-c CODE`` or a file, as the interpreter runs them."""
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = argv
        sys.path[0] = str(Path(argv[0]).resolve().parent)
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
