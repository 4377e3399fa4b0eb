"""What `launch` shows: one line of progress for all jobs, and why the first of them failed."""

import shutil
import sys
import time

from launcher.jobs import tail

TAIL_LINES = 15


def clock(seconds):
    """Return seconds as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Bar:
    """One line for all jobs: moving on a terminal, otherwise a new one now and then."""

    def __init__(self, title, jobs):
        self.title, self.jobs = title, jobs
        self.live = sys.stderr.isatty()
        self.every = 1.0 if self.live else 30.0
        self.began = self.last = time.monotonic()
        self.width, self.first = 0, None

    def text(self):
        """Return what is done, of how much, and the time left if the jobs say enough."""
        for job in self.jobs:
            if job.started:
                job.read_progress()
        seconds = time.monotonic() - self.began
        ended = sum(job.status is not None for job in self.jobs)
        known = [job for job in self.jobs if job.total]
        text = f"{self.title}: "
        if known:
            done = sum(job.done for job in known)
            # Pieces have about equal sizes, so pieces that have not started are like the others.
            total = round(sum(job.total for job in known) / len(known) * len(self.jobs))
            text += f"{100 * done // max(total, 1)}% ({done}/{total}), "
            self.first = self.first or (seconds, done)  # a resumed job begins in the middle
            if self.first[1] < done < total:
                pace = (seconds - self.first[0]) / (done - self.first[1])
                text += f"{clock(pace * (total - done))} left, "
        if len(self.jobs) > 1:
            text += f"{ended} of {len(self.jobs)} jobs ended, "
        return text + f"{clock(seconds)} so far"

    def update(self):
        """Show the line if enough time has passed."""
        if time.monotonic() - self.last < self.every:
            return
        self.last = time.monotonic()
        line = self.text()
        if self.live:
            line = line[: shutil.get_terminal_size().columns - 1]
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def clear(self):
        """Erase the moving line, before something else is printed."""
        if self.width:
            print("\r" + " " * self.width, end="\r", file=sys.stderr)


def report(failed):
    """Name the first failure's log and show its end; it may have brought the others down."""
    first, *others = failed
    lines = [f"{first.name} failed with exit status {first.status}"]
    if first.reason:
        lines = [f"{first.name} failed: {first.reason}"]
    elif first.status == 137:
        lines += ["137 is a kill, most often for lack of memory: try fewer jobs at once"]
    if first.log.exists():
        lines += [f"its log is {first.log} and ends:"]
    else:
        lines += [f"it has left no log, which would be {first.log}"]
    if others:
        lines[-1:-1] = ["also failed or stopped: " + ", ".join(str(job.log) for job in others)]
    ending = tail(first.log, 16384).decode(errors="replace").splitlines()[-TAIL_LINES:]
    lines = [f"launch: {line}" for line in lines] + [f"  | {line}" for line in ending]
    print("\n".join(lines), file=sys.stderr)
