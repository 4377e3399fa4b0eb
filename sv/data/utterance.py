"""The entries of a data directory: utterances, and trials between them."""

from dataclasses import dataclass

from sv.files import utf8


@dataclass(frozen=True, slots=True)
class Utterance:
    """An audio file or a span of it, and what is known about it.

    ``duration`` is in seconds and equals ``num_samples / sample_rate``; both are those of the file
    or span, before any resampling. ``speaker``, ``session`` and ``group`` (sub-corpus) are None if
    unknown.

    The defaults of the other attributes mean the whole file. ``recording`` is the id of the file
    (or of one channel of it) in ``wav.scp``, ``start`` the begin of the span in seconds,
    ``channel`` the only channel to take, from 0. ``recording_samples`` is the length of the file.
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
    recording: str | None = None
    start: float = 0.0
    channel: int | None = None
    recording_samples: int | None = None

    @property
    def recording_id(self) -> str:
        """The id of the recording in ``wav.scp``: for a whole file that of the utterance."""
        return self.id if self.recording is None else self.recording

    @property
    def end(self) -> float:
        """The end of the span in its recording, in seconds."""
        return self.start + self.duration


Trial = tuple[int, str, str]
"""(1 for a target or 0 for a non-target, enrolment utterance id, test utterance id)."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file of the corpus: its path from the corpus folder, and the labels in that path."""

    relative: str
    id: str
    speaker: str | None = None
    session: str | None = None
    group: str | None = None


def name_problem(relative: str) -> str | None:
    """Return why a path cannot stand in a list, or None."""
    if "\n" in relative or "\r" in relative:
        return "has a line break in its name: rename it"
    try:
        utf8(relative).decode("utf-8")
    except UnicodeDecodeError:
        return "has a name that is not UTF-8: rename it (convmv -f latin1 -t utf8 --notest FILE)"
    return None
