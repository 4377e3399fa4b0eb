"""How a signal ends a training: after the present step, and with the state saved."""

import signal
import time

from sv import distributed
from sv.errors import LostWorker

REQUEUE = 99
"""Exit status after SIGTERM or SIGUSR1. GridEngine restarts such a job; Slurm can be set to."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

PATIENCE = 20.0
"""Seconds after a signal that several processes have to end a step together."""


class Interrupted(SystemExit):
    """A signal asked training to stop; the state is saved."""

    def __init__(self):
        super().__init__(REQUEUE)


class StopSignals:
    """Inside ``with``, records that a signal asked this process to end.

    received: whether a signal has come.
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
        """Ask for an end after this step. A second signal after ``PATIENCE`` ends at once."""
        now = time.monotonic()
        if self.received and now > self.since + PATIENCE:
            raise Interrupted
        if not self.received:
            self.received, self.since = True, now

    def waits_no_more(self) -> bool:
        """Return whether to stop waiting for a batch, because a signal has come.

        With several processes this is False, because all must finish the step together.

        Raises
        ------
        LostWorker: a signal came, and this process got no batch within ``PATIENCE``.
        """
        if not self.received or distributed.world_size() == 1:
            return self.received
        if time.monotonic() > self.since + PATIENCE:
            raise LostWorker(
                "the data readers gave no batch after a signal to end: the last checkpoint stands"
            )
        return False
