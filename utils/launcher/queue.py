"""Jobs through a queue: submitted as one array, watched by status files, asked for if missing.

A backend (slurm.py, sge.py) says how to submit, cancel, start again and ask. Files of one launch
are in LOGS/q/NAME.TIME.PID/, which goes when all jobs have succeeded: the job's script, what it
runs (spec.json), NUMBER.status and what the queue itself had to say of a job (NUMBER.out).
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from launcher.jobs import GRACE, JOB, REQUEUE, tail
from launcher.local import Signals
from launcher.show import Bar, clock

LAG = 10.0  # seconds that a status file may take to be seen here, through NFS
ASK_AGAIN = 5.0  # seconds between two requests to end
ASK_EVERY = 3.0  # seconds between two questions to the queue, if it has to be asked


class Refused(Exception):
    """The queue did not accept the jobs."""


class Array:
    """The jobs of one launch in a queue.

    backend: has ``submit(array, script)`` → words of a command that returns when all jobs have
        ended, ``find_id(text)`` in what it prints, ``cancel(id, kill)``, ``usr1(id)``,
        ``again(id, job)`` → whether the job will run once more, ``describe(id, job)`` → (whether
        the job may still end by itself, why the queue ended it, its exit code).
    """

    def __init__(self, backend, jobs, options, environment, log, command):
        self.backend, self.jobs, self.options = backend, jobs, options
        self.is_array = jobs[0].number is not None
        self.limit = min(options.max_jobs or len(jobs), len(jobs))
        self.name = re.sub(r"[^A-Za-z0-9_.-]+", "-", JOB.sub("", Path(log).stem)).strip("._-")
        token = f"{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}"
        self.folder = Path(log).absolute().parent / "q" / f"{self.name}.{token}"
        self.spec = {
            "folder": str(Path.cwd()),
            "array": self.is_array,
            "log": log,
            "command": command,
            "environment": environment,
        }
        self.id = self.waiter = self.template = None
        self.words = []  # options, as words for the command of the template
        self.requeued = dict.fromkeys(jobs, 0)
        self.asked = 0.0

    @property
    def first(self):
        """Number of the first job; 1 if there is a single job."""
        return self.jobs[0].number or 1

    def submit(self):
        """Write the files and submit the jobs."""
        self.folder.mkdir(parents=True)
        for job in self.jobs:
            job.keep_former_log()
        spec, script = self.folder / "spec.json", self.folder / "job.sh"
        spec.write_text(json.dumps(self.spec, indent=1) + "\n", encoding="utf-8")
        words = [sys.executable, str(Path(__file__).with_name("task.py")), str(spec)]
        # The number of a single job is "undefined" in SGE and not set in Slurm.
        script.write_text(
            "#!/bin/bash\n"
            f"exec {shlex.join(words)} {self.backend.number if self.is_array else '1'}\n"
        )
        self.output = self.folder / "submit.out"
        command = self.backend.submit(self, script)
        with self.output.open("wb") as output:
            try:
                # A group of its own: Ctrl-C must reach only us; we then cancel the jobs.
                self.waiter = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise Refused(
                    f"{self.template.command[0]}: {error.strerror}: is this a machine that can "
                    "submit jobs? --backend local runs them here"
                ) from None
        while self.id is None:
            ended = self.waiter.poll() is not None
            self.id = self.backend.find_id(self._said())
            if ended and self.id is None:
                said = " ".join(self._said().split()) or "it did not say why"
                raise Refused(f"{self.template.command[0]} did not take the jobs: {said}")
            time.sleep(0.05)

    def _said(self):
        return tail(self.output, 16384).decode(errors="replace")

    def signal(self, number):
        """Ask the jobs to end (SIGTERM), kill them (SIGKILL), or send SIGUSR1."""
        if number == signal.SIGUSR1:
            self.backend.usr1(self.id)
        else:
            # Queues lose signals to jobs that are just being started, so these look for this file.
            (self.folder / "stop").touch()
            self.backend.cancel(self.id, kill=number == signal.SIGKILL)

    def look(self, ending):
        """Update the states of the jobs; ``ending``: start no job again."""
        gone = self.waiter.poll() is not None
        asking = gone and time.monotonic() - self.asked > ASK_EVERY
        if asking:
            self.asked = time.monotonic()
        for job in self.jobs:
            if job.status is not None:
                continue
            job.started = job.started or job.log.exists()
            status = self._read_status(job)
            if status is not None:
                self._end(job, status, ending)
            elif asking:
                self._find_out(job)

    def _status_file(self, job):
        return self.folder / f"{job.number or 1}.status"

    def _read_status(self, job):
        with contextlib.suppress(OSError, ValueError):
            return int(self._status_file(job).read_text())
        return None

    def _end(self, job, status, ending):
        """Store how a job ended, unless it is queued again."""
        if status == REQUEUE and not ending and self.requeued[job] < self.options.requeue:
            self.requeued[job] += 1
            self._status_file(job).unlink()
            if self.backend.again(self.id, job):
                print(f"{job.name} saved its state and is queued again", file=sys.stderr)
                return
        if status > 128 or status == REQUEUE:  # was it a signal of the queue's?
            _, job.reason, _ = self.backend.describe(self.id, job)
        job.status, job.ended = status, time.monotonic()

    def _find_out(self, job):
        """Ask the queue for a job that has left no status, though all should have ended."""
        alive, known, code = self.backend.describe(self.id, job)
        deadline = time.monotonic() + LAG
        while not alive and time.monotonic() < deadline:
            if (status := self._read_status(job)) is not None:
                job.status, job.reason, job.ended = status, known, time.monotonic()
                return
            if known or code not in ("", "0", "0:0"):  # no status will come
                break
            time.sleep(0.2)
        if not alive:
            job.status, job.ended = 1, time.monotonic()
            job.reason = known or (
                f"it has ended{f' with exit code {code}' if code else ''} and left no status: was "
                f"it killed, and does every machine see {self.folder}?"
            )
            output = self.folder / f"{job.number or 1}.out"
            if said := " ".join(tail(output, 1000).decode(errors="replace").split()):
                job.reason += f" ({said})"

    def close(self):
        """End the process that waits for the queue; remove the files if all went well."""
        if self.waiter is not None and self.waiter.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.waiter.wait(self.backend.patience)
            if self.waiter.poll() is None:
                self.waiter.kill()  # not SIGTERM, on which qsub -sync cancels the jobs
                self.waiter.wait()
        if all(job.status == 0 for job in self.jobs):
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()


def run(array, title):
    """Run the jobs of ``array``; return the signal that stopped them, or None.

    Raises:
        Refused: the queue did not take them.
    """
    jobs = array.jobs
    bar, signals = Bar(title, jobs), Signals()
    array.submit()
    stopped_at = asked_at = None
    try:
        while any(job.status is None for job in jobs):
            signals.hand_on([array])
            failed = any(job.status for job in jobs)
            if stopped_at is None and (failed or signals.last_word is not None):
                stopped_at = asked_at = time.monotonic()
                if signals.last_word is None:
                    array.signal(signal.SIGTERM)
            elif stopped_at is not None and time.monotonic() - stopped_at > GRACE:
                array.signal(signal.SIGKILL)
                stopped_at = asked_at = time.monotonic()
            elif stopped_at is not None and time.monotonic() - asked_at > ASK_AGAIN:
                asked_at = time.monotonic()  # a job that was just starting may have missed it
                array.signal(signal.SIGTERM)
            array.look(ending=stopped_at is not None)
            bar.update()
            time.sleep(0.1)
    finally:
        bar.clear()
        array.close()
    if all(job.status == 0 for job in jobs):
        count = f"{len(jobs)} jobs in " if len(jobs) > 1 else ""
        print(f"{title}: {count}{clock(time.monotonic() - bar.began)}", file=sys.stderr)
    return signals.last_word


def ask(*words):
    """Return what a command of the queue prints, or "" if it fails or does not answer."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return done.stdout
    return ""
