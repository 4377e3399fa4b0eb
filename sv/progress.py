"""Progress of long work: a moving bar on a terminal, or a line from time to time in a log.

The lines look like ``features: 40%|#### | 40/100 [00:10<00:15, 4.0utt/s]``. The job launcher
(``utils/launch``) reads the ``40/100`` in the log of each job and shows one bar for all jobs. It
sets ``SV_PROGRESS_SECONDS`` to get lines more often.
"""

import argparse
import os
import sys
from collections.abc import Iterable

from tqdm import tqdm

from sv.errors import InputError
from sv.numbers import SECONDS

LOG_INTERVAL = 60.0


class _LogBar(tqdm):
    """A tqdm that writes whole lines, so that a log file stays readable."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        self.fp.write((msg or str(self)) + "\n")
        self.fp.flush()

    def close(self) -> None:
        """Write a last line with the progress; tqdm's own ``close`` would move the cursor."""
        if not self.disable:
            self.disable = True
            self._decr_instances(self)
            self.display(self.format_meter(**self.format_dict))


def progress(
    iterable: Iterable | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    desc: str,
    unit: str,
):
    """Wrap ``iterable`` to show progress; with ``total`` alone, return a bar to ``update``.

    On a terminal this is an ordinary tqdm bar. Otherwise a line goes to stderr each minute, or
    every ``SV_PROGRESS_SECONDS`` seconds. Both show the time left. ``initial``: work that an
    earlier run has done.
    """
    common = {"iterable": iterable, "total": total, "initial": initial, "desc": desc, "unit": unit}
    if sys.stderr.isatty():
        return tqdm(**common, leave=False, dynamic_ncols=True)
    try:
        interval = SECONDS(os.environ.get("SV_PROGRESS_SECONDS", str(LOG_INTERVAL)))
    except argparse.ArgumentTypeError as error:
        raise InputError(f"SV_PROGRESS_SECONDS: {error}") from None
    return _LogBar(
        **common, ascii=" #", mininterval=interval, maxinterval=interval, miniters=1, ncols=100
    )


def silent(iterable: Iterable | None = None, **options):
    """Do what ``progress`` does, but show nothing: for processes other than the first."""
    return tqdm(iterable, disable=True, **options)
