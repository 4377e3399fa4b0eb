"""What a queue runs on a node: one job of a `launch`, with the log that a local job has.

    task.py SPEC NUMBER

SPEC is the JSON file that `launch` wrote; the exit status goes to the file NUMBER.status beside it,
because not every queue can be asked for it later.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from launcher.jobs import Job

# SGE warns of a kill by SIGUSR2 or, at the soft limit of time, by SIGXCPU.
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGXCPU)

LOOK_EVERY = 2.0  # seconds between two looks for the file with which launch stops its jobs


def catches(pid, number):
    """Return whether a process has a handler for a signal; True if that is unknown."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return True


def main():
    """Run the job; return its exit status."""
    spec_file, number = Path(sys.argv[1]), int(sys.argv[2])
    spec = json.loads(spec_file.read_text(encoding="utf-8"))
    os.chdir(spec["folder"])
    pending = []
    for received in (*ENDINGS, signal.SIGUSR1):
        signal.signal(received, lambda received, frame: pending.append(received))
    queue = os.environ.get("SLURM_JOB_ID") or os.environ.get("JOB_ID")
    job = Job(number if spec["array"] else None, spec["log"], spec["command"])
    job.start({**os.environ, **spec["environment"]}, f", job {queue} of the queue")
    looked, stop = time.monotonic(), spec_file.with_name("stop")
    while not job.poll():
        if stop is not None and time.monotonic() - looked > LOOK_EVERY:
            looked = time.monotonic()
            if stop.exists():
                pending.append(signal.SIGTERM)
                stop = None
        while pending:
            received = pending.pop(0)
            # A warning that time is running out must not kill a command that has no handler.
            if received == signal.SIGUSR1 and not catches(job.process.pid, received):
                continue
            job.signal(signal.SIGTERM if received in ENDINGS else received)
        time.sleep(0.05)
    status_file = spec_file.with_name(f"{number}.status")
    temporary = status_file.with_suffix(".tmp")
    temporary.write_text(f"{job.status}\n")
    temporary.replace(status_file)
    return job.status


if __name__ == "__main__":
    sys.exit(main())
