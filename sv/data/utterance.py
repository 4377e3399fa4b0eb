"""What a data directory lists: utterances, and trials between them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Utterance:
    """One audio file and what is known about it.

    ``duration`` is in seconds and equals ``num_samples / sample_rate`` (of the file, before any
    resampling). ``speaker``, ``session`` and ``group`` (sub-corpus) are None where unknown.
    """

    id: str
    path: str
    duration: float
    sample_rate: int
    num_samples: int
    speaker: str | None = None
    session: str | None = None
    group: str | None = None
    channels: int = 1


Trial = tuple[int, str, str]
"""(1 for a target or 0 for a non-target, enrolment utterance id, test utterance id)."""
