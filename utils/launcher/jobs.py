"""One command with its log: the contract that every backend of `launch` keeps."""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

JOB = re.compile(r"(?<![A-Za-z0-9])JOB(?![A-Za-z0-9])")
PROGRESS = re.compile(rb"(\d+)/(\d+) \[")  # what sv.progress writes
TIME = "%Y-%m-%d %H:%M:%S %z"
REQUEUE = 99  # a training that a signal stopped, with a checkpoint written; queues know it
GRACE = 60.0  # seconds that stopped jobs have to write a checkpoint


def tail(path, size):
    """Return the last ``size`` bytes of a file, or nothing if it cannot be read."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - size))
            return handle.read()
    except OSError:
        return b""


class Job:
    """One command with its log and, while it runs, its process."""

    def __init__(self, number, log, command):
        def fill(text):
            return text if number is None else JOB.sub(str(number), text)

        self.log, self.command = Path(fill(log)), [fill(word) for word in command]
        self.name = self.log.name if number is None else f"job {number}"
        self.number, self.reason = number, ""  # reason of a failure, if the queue gives one
        self.process = self.status = self.ended = None
        self.started = False
        self.done = self.total = 0

    def keep_former_log(self):
        """Rename an existing log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_name(self.log.name + ".old"))

    def start(self, environment, where=""):
        """Write the log's header and start the command in a process group of its own.

        ``where`` says more than the machine's name, such as a queue's number of the job.
        """
        self.keep_former_log()
        self.began, self.started = time.monotonic(), True
        machine = socket.gethostname() + where
        self.write(f"# {shlex.join(self.command)}", f"# in {Path.cwd()} on {machine}")
        self.write(f"# started {time.strftime(TIME)}", "#")
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                    close_fds=False,  # a job that outlives us holds the stage's lock (begin.sh)
                )
        except OSError as error:
            self.write(f"cannot start {self.command[0]}: {error.strerror}")
            self.finish(127)

    def write(self, *lines):
        """Add lines to the log."""
        with self.log.open("a", encoding="utf-8", errors="surrogateescape") as log:
            log.writelines(f"{line}\n" for line in lines)

    def poll(self):
        """Return True once the command has ended (and write the log's footer)."""
        if self.status is None and self.process.poll() is not None:
            self.finish(self.process.returncode)
        return self.status is not None

    def finish(self, status):
        """Store the exit status, in the form of a shell, in the job and in its log."""
        self.status = 128 - status if status < 0 else status
        self.ended = time.monotonic()
        if not tail(self.log, 1).endswith(b"\n"):
            self.write("")
        seconds = f"{self.ended - self.began:.1f} s"
        self.write(f"# ended {time.strftime(TIME)}, {seconds}, exit status {self.status}")

    def signal(self, number):
        """Send a signal to the command and to all processes that it has started."""
        if self.process is not None and self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def read_progress(self):
        """Take ``done`` and ``total`` from the last progress line of the log."""
        found = PROGRESS.findall(tail(self.log, 4096))
        if found:
            self.done, self.total = map(int, found[-1])
        if self.status == 0:
            self.done = self.total
