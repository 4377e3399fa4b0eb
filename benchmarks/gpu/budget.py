"""A budget of seconds, divided among parts; a part that takes longer than its share is ended."""

import contextlib
import signal
import time
from collections.abc import Iterator


class TimeUp(BaseException):
    """The time of a part is over. Not an ``Exception``, so that no library swallows it."""


class Budget:
    """Seconds for everything. A part that needs less than its share leaves the rest to others."""

    def __init__(self, seconds: float):
        self.end = self.part_end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left of the present part."""
        return self.part_end - time.monotonic()

    @contextlib.contextmanager
    def part(self, weight: float, of: float) -> Iterator[None]:
        """Give the block ``weight`` / ``of`` of the seconds that are left; then raise `TimeUp`.

        The alarm comes between two operations of Python. A library that compiles or computes
        returns first, so a part may take a little longer.
        """

        def ring(number, frame):
            raise TimeUp

        left = self.end - time.monotonic()
        self.part_end = time.monotonic() + left * weight / of
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(0.01, self.left))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
