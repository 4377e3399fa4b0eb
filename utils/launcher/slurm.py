"""The backend `slurm`: one `sbatch --wait --array` for all jobs."""

import re
import time

from launcher.queue import ask

ALIVE = {
    "PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "RESIZING",
    "SIGNALING", "STAGE_OUT", "SUSPENDED", "STOPPED", "SPECIAL_EXIT", "REQUEUE_FED",
}  # fmt: skip

MEANING = {
    "CANCELLED": "it was cancelled (scancel, or Slurm itself)",
    "TIMEOUT": "it ran out of time: give more by --time",
    "DEADLINE": "it could not end before its deadline",
    "OUT_OF_MEMORY": "it took more memory than asked for: give more by --mem",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not start",
    "PREEMPTED": "a job of higher priority took its place",
    "REVOKED": "another cluster took it over",
}


class Slurm:
    """How to submit, cancel and ask; see ``launcher.queue.Array``."""

    number = '"$SLURM_ARRAY_TASK_ID"'
    patience = 0.0  # sbatch --wait asks only every 2 to 32 seconds, so we do not wait for it

    def submit(self, array, script):
        """Return the command that submits ``script`` and returns when all jobs have ended."""
        template = array.template
        numbers = []
        if array.is_array:
            numbers = [f"--array={array.first}-{array.jobs[-1].number}%{array.limit}"]
        output = str(array.folder / ("%a.out" if array.is_array else "1.out"))
        return [
            *template.command, "--parsable", "--wait", f"--job-name={array.name}",
            f"--output={output}", "--open-mode=append", *numbers, *array.words, str(script),
        ]  # fmt: skip

    def find_id(self, said):
        """Return the number of the job in what sbatch has printed."""
        found = re.search(r"^(\d+)(;\S+)?$", said, re.MULTILINE)
        return found and found[1]

    def cancel(self, identity, kill):
        """End all jobs with SIGTERM and (after KillWait) SIGKILL, or with SIGKILL at once."""
        if kill:
            ask("scancel", "--signal=KILL", "--full", identity)
        ask("scancel", identity)

    def usr1(self, identity):
        """Send SIGUSR1 to the jobs, which send it to their commands."""
        ask("scancel", "--signal=USR1", "--batch", identity)

    def again(self, identity, job):
        """Put a job that ended with status 99 back into the queue."""
        task = identity if job.number is None else f"{identity}_{job.number}"
        for _ in range(40):  # a job that is completing may not be touched
            state, _ = self._state(identity, job)
            if state == "CANCELLED":
                return False
            if state in ("PENDING", "REQUEUED"):  # a pre-emption has queued it already
                return True
            if state not in ("COMPLETING", "RUNNING", ""):
                ask("scontrol", "requeue", task)
                # Slurm's own choice is two minutes; at once, the node may not have cleaned up yet.
                ask("scontrol", "update", f"JobId={task}", "StartTime=now+5")
            time.sleep(0.25)
        return False

    def describe(self, identity, job):
        """Return (whether the job is still on its way, why the queue ended it, exit code)."""
        state, status = "COMPLETING", ""
        for _ in range(20):
            state, status = self._state(identity, job)
            if state != "COMPLETING":
                break
            time.sleep(0.25)
        if state in ALIVE:
            return True, "", ""
        known = MEANING.get(state, "")
        if not known and state not in ("", "COMPLETED", "FAILED"):
            known = f"Slurm says {state}"
        return False, known, status

    def _state(self, identity, job):
        """Return (state, exit code); "" if neither the controller nor accounting knows them."""
        for line in ask("scontrol", "-o", "show", "job", identity).splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if job.number is None or _holds(fields.get("ArrayTaskId", ""), job.number):
                return fields.get("JobState", ""), fields.get("ExitCode", "")
        task = identity if job.number is None else f"{identity}_{job.number}"
        lines = ask("sacct", "-n", "-P", "-X", "-j", task, "-o", "State,ExitCode").splitlines()
        if lines:
            state, _, status = lines[0].partition("|")
            return state.split()[0] if state else "", status
        return "", ""


def _holds(text, number):
    """Return whether the tasks of ``text``, such as ``1,4-8%2``, include ``number``."""
    for part in text.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and int(first) <= number <= int(last.partition(":")[0] or first):
            return True
    return False
