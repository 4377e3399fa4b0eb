"""The backend `local`: jobs are processes of this machine."""

import contextlib
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path

from launcher.jobs import GRACE
from launcher.show import Bar, clock


def usable_cores():
    """Return the number of cores that this process may use, also if a container limits them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores or 1


class Signals:
    """Signals that arrive: the handler stores them, and the main loop sends them to the jobs."""

    def __init__(self):
        self.pending, self.last_word = [], None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            if signal.getsignal(number) != signal.SIG_IGN:  # under nohup we ignore SIGHUP, too
                signal.signal(number, lambda number, frame: self.pending.append(number))

    def hand_on(self, jobs):
        """Ask the jobs to end; kill them at the second request; SIGUSR1 is sent unchanged."""
        while self.pending:
            number = self.pending.pop(0)
            if number == signal.SIGUSR1:
                passed_on = number
            else:
                passed_on = signal.SIGTERM if self.last_word is None else signal.SIGKILL
                self.last_word = number
            for job in jobs:
                job.signal(passed_on)


def run(jobs, max_jobs, environment, title):
    """Run the jobs, at most ``max_jobs`` at once; return the signal that stopped them, or None."""
    bar, signals = Bar(title, jobs), Signals()
    waiting, running, failed_at = deque(jobs), [], None
    while running or (waiting and failed_at is None and signals.last_word is None):
        signals.hand_on(running)
        if failed_at is None and any(job.poll() and job.status for job in running):
            failed_at = time.monotonic()
            for job in running:
                job.signal(signal.SIGTERM)
        elif failed_at is not None and time.monotonic() - failed_at > GRACE:
            for job in running:
                job.signal(signal.SIGKILL)
        running = [job for job in running if not job.poll()]
        while waiting and len(running) < max_jobs and not (failed_at or signals.last_word):
            running.append(waiting.popleft())
            running[-1].start(environment)
        bar.update()
        time.sleep(0.02)
    bar.clear()
    if all(job.status == 0 for job in jobs):
        count = f"{len(jobs)} jobs in " if len(jobs) > 1 else ""
        print(f"{title}: {count}{clock(time.monotonic() - bar.began)}", file=sys.stderr)
    return signals.last_word
