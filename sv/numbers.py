"""Checks the numbers that people write in options, settings and text files.

Python's own ``int`` and ``float`` accept too much: they read ``1_0.5`` as 10.5, they accept
``nan``, and they accept digits of any script.
"""

import argparse
import math
import re
from dataclasses import dataclass
from numbers import Real

from sv.errors import InputError

_WHOLE = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
DIGITS = 18
"""Most digits of a whole number; such a number fits into 64 bits."""
MAX_OVERSHOOT = 0.5
"""As in Kaldi's extract-segments: a span may end so many seconds after its recording, and is cut
there."""


def to_int(text: str) -> int:
    """Return the whole number in ``text``; raise ``ValueError`` if there is none."""
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no whole number")
    if len(text.lstrip("+-0")) > DIGITS:
        raise ValueError(f"{text[:40]} is too large")
    return int(text)


def to_float(text: str, infinite: bool = False) -> float:
    """Return the number in ``text``; raise ``ValueError`` if there is none, or if it is NaN.

    ``infinite``: accept inf and -inf, which a log-likelihood ratio may be.
    """
    text = text.strip()
    if infinite and _INFINITE.fullmatch(text):
        return float(text)
    if not _REAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no number")
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


@dataclass(frozen=True)
class Number:
    """The range of numbers of an option; as ``type`` of argparse it reads and checks a number.

    ``low``, ``high``: the ends of the range. ``above``: exclude ``low``; ``below``: exclude
    ``high``. ``whole``: whole numbers only.
    """

    low: float = -1e9
    high: float = 1e9
    above: bool = False
    below: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether ``value`` is in the range; NaN never is."""
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return bool(over and under and (not self.whole or value == int(value)))

    def check(self, value: float, what: str) -> float:
        """Return ``value``; raise ``InputError`` that names it ``what`` if it is out of range."""
        if not isinstance(value, Real):
            raise InputError(f"{what}: {str(value)[:40]!r} is no number: give {self}")
        if not self.holds(value):
            raise InputError(f"{what}: {value} is not {self}")
        return int(value) if self.whole else value

    def __call__(self, text: str) -> int | float:
        """Read ``text`` for argparse, which puts the option's name before the message."""
        try:
            value = to_int(text) if self.whole else to_float(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}: give {self}") from None
        if not self.holds(value):
            raise argparse.ArgumentTypeError(f"{text} is not {self}")
        return value

    def __str__(self) -> str:
        """Return the range in words."""
        kind = "a whole number" if self.whole else "a number"
        low = f"above {self.low:,.12g} and" if self.above else f"from {self.low:,.12g}"
        high = "below" if self.below else "up to" if self.above else "to"
        return f"{kind} {low} {high} {self.high:,.12g}"


def whole(low: int = 0, high: int = 10**9) -> Number:
    """Return the range of whole numbers from ``low`` to ``high``, both included."""
    return Number(low, high, whole=True)


COUNT = whole(1)
NATURAL = whole(0)
SEED = whole(0, 2**32 - 1)
POSITIVE = Number(0, above=True)
NOT_NEGATIVE = Number(0)
SHARE = Number(0, 1)
PRIOR = Number(0, 1, above=True, below=True)
COSINE = Number(-1, 1)
SCORE = Number(-1e6, 1e6)
DECIBELS = Number(-200, 200)
SECONDS = Number(0.01, 1e7)
SAMPLE_RATE = whole(1_000, 1_000_000)
MEL_BINS = whole(1, 1_000)
JOBS = whole(1, 10_000)
RESAMPLES = whole(0, 100_000)


def samples_of(seconds: tuple[float, float], rate: int, total: int) -> tuple[int, int]:
    """Return the first sample of a span, and the one after its last.

    An infinite end is that of the file, which has ``total`` samples of ``rate`` Hz.
    """
    start, end = seconds
    return round(start * rate), total if math.isinf(end) else round(end * rate)
