"""How a signal ends a training: after the step in which it comes, with a state on disk."""

import signal
import time

from sv import distributed
from sv.errors import LostWorker

REQUEUE = 99
"""Exit status after SIGTERM or SIGUSR1: GridEngine starts such a job again; Slurm can be told."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

PATIENCE = 20.0
"""Seconds after a signal in which several processes may still end a step together."""


class Interrupted(SystemExit):
    """A signal asked training to stop; a state is on disk."""

    def __init__(self):
        super().__init__(REQUEUE)


class StopSignals:
    """Notes, inside of ``with``, that a signal asked this process to end.

    received: whether one has come.
    """

    def __init__(self) -> None:
        self.received, self.since = False, 0.0

    def __enter__(self) -> "StopSignals":
        self.former = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        """Ask for an end after this step; a signal that comes much later ends training at once."""
        now = time.monotonic()
        if self.received and now > self.since + PATIENCE:
            raise Interrupted
        if not self.received:
            self.received, self.since = True, now

    def waits_no_more(self) -> bool:
        """Return whether a signal came and the next batch did not.

        Raises
        ------
        LostWorker: other processes are in a step, and this one gets no batch for it.
        """
        if not self.received or distributed.world_size() == 1:
            return self.received
        if time.monotonic() > self.since + PATIENCE:
            raise LostWorker(
                "the data readers gave no batch after a signal to end: the last checkpoint stands"
            )
        return False
