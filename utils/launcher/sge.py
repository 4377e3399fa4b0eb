"""The backend `sge`: one `qsub -sync y -t` for all jobs (GridEngine in any of its kinds)."""

import re

from launcher.queue import ask


class GridEngine:
    """How to submit, cancel and ask; see ``launcher.queue.Array``."""

    number = '"$SGE_TASK_ID"'
    patience = 3.0  # qsub -sync returns at once, but needs time to log off from its server

    def submit(self, array, script):
        """Return the command that submits ``script`` and returns when all jobs have ended."""
        numbers = []
        if array.is_array:
            numbers = ["-t", f"{array.first}-{array.jobs[-1].number}", "-tc", str(array.limit)]
        name = array.name if not array.name[:1].isdigit() else f"j{array.name}"
        output = str(array.folder / ("$TASK_ID.out" if array.is_array else "1.out"))
        # qsub prints the number of the job only when it ends, unless its output is a terminal.
        return [
            "stdbuf", "-oL", *array.template.command, "-sync", "y", "-N", name, "-S", "/bin/bash",
            "-cwd", "-j", "y", "-o", output, *numbers, *array.words, str(script),
        ]  # fmt: skip

    def find_id(self, said):
        """Return the number of the job in what qsub has printed."""
        found = re.search(r"Your job(?:-array)? (\d+)", said)
        return found and found[1]

    def cancel(self, identity, kill):
        """Delete the jobs; because of -notify they get SIGUSR2 before SIGKILL."""
        ask("qdel", *(["-f"] if kill else []), identity)

    def usr1(self, identity):
        """Do nothing, because no signal can be sent to jobs of qsub."""

    def again(self, identity, job):
        """Return whether a job that ended with status 99 runs again: GridEngine does it itself."""
        return self._queued(identity, job) != "deleted"

    def describe(self, identity, job):
        """Return (whether the job is still on its way, why the queue ended it, exit code)."""
        state = self._queued(identity, job)
        if state == "waiting":
            return True, "", ""
        if state == "deleted":
            return True, "it was deleted (qdel)", ""
        if state == "error":
            self.cancel(identity, kill=False)
            text = ask("qstat", "-j", identity)
            found = re.search(r"^error reason.*?:\s+(.*)$", text, re.MULTILINE)
            why = f": {found[1].strip()}" if found else ""
            return False, "GridEngine cannot run it" + why, ""
        task = [] if job.number is None else ["-t", str(job.number)]
        fields = {}
        for line in ask("qacct", "-j", identity, *task).splitlines():
            name, _, value = line.partition(" ")
            fields[name] = value.strip()
        code = fields.get("exit_status", "").split(" ")[0]
        if fields.get("deleted_by", "NONE") != "NONE":
            return False, f"{fields['deleted_by']} deleted it (qdel)", code
        failed = " ".join(fields.get("failed", "0").split())
        if failed.split(":")[0].strip() == "0":
            return False, "", code
        return False, f"GridEngine says {failed}: killed by qdel or a limit", code

    def _queued(self, identity, job):
        """Return ``waiting`` (or running), ``error``, ``deleted``, or "" if it has ended."""
        for line in ask("qstat", "-u", "*").splitlines():
            words = line.split()
            if len(words) < 5 or words[0] != identity:
                continue
            if job.number is None or _holds(words[-1], job.number):
                state = words[4]
                return "deleted" if "d" in state else "error" if "E" in state else "waiting"
        return ""


def _holds(text, number):
    """Return whether the tasks of ``text``, such as ``1,4-8:1``, include ``number``."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and int(first) <= number <= int(last.partition(":")[0] or first):
            return True
    return False
