"""Exceptions that end a program with a plain sentence instead of a traceback, and its remedy."""

import re

MADE_BY = (
    (0, r"(wav\.scp|utt2dur|utt2spk|spk2utt|trials|\.jsonl\.gz)$|/labels/"),
    (1, r"(feats\.scp|utt2num_frames|feats_preset|wav_ark\.scp|utt2num_samples)$|(^|/)fbank/"),
    (2, r"(^|/)banks(/|$)"),
    (3, r"/(checkpoints/.*|train\.json|train\.jsonl|config\.yaml)$"),
    (4, r"(/clusters(/|$)|utt2cluster$)"),
    (6, r"(/embeddings/|/final\.pt$)"),
    (7, r"/scores/"),
    (8, r"/report(/|$)"),
)
"""Number of a stage, and a pattern of the paths that it writes; the first that fits counts."""


def command_of(first: int, last: int | None = None) -> str:
    """Return the command that runs a stage of a recipe, or the stages ``first`` to ``last``."""
    return f"./run.sh --stage {first} --stop-stage {first if last is None else last}"


def stage_that_makes(path: object) -> str:
    """Return ``": ./run.sh ..."``, the command that makes a file of a recipe; "" if not known."""
    for stage, pattern in MADE_BY:
        if re.search(pattern, str(path)):
            return f": {command_of(stage)}"
    return ""


class InputError(Exception):
    """A file or an option cannot be used.

    The message is a plain sentence for the user: it names the file or option, and says what is
    wrong and what to do. Programs print it without a traceback and exit with ``status``.
    """

    status = 2


class OtherTraining(InputError):
    """The experiment folder has a checkpoint of other settings or data."""

    status = 4


class AudioError(InputError):
    """An audio file cannot be used. ``reason``: the message without the name of the file."""

    def __init__(self, reason: str, path: object = None):
        self.reason = reason
        super().__init__(reason if path is None else f"{path} {reason}")

    def of(self, path: object) -> "AudioError":
        """Return the same error with the name of the file in its message."""
        return type(self)(self.reason, path)


class Missing(AudioError):
    """There is no such file."""


class Truncated(AudioError):
    """The file ends before the end that its header states."""


class WrongHeader(AudioError):
    """The header contradicts the contents of the file."""


class Cancelling(AudioError):
    """The channels cancel each other in their mean."""


class LostProcess(OSError):
    """Another process has ended, so this one cannot go on.

    Nothing is wrong with the input, so the exit status is 1, as for any failure of the system.
    """


class LostWorker(LostProcess):
    """A worker of this process has ended, or does not answer."""


class OutOfMemory(OSError):
    """Memory has run out; the message says which memory, and what to lower."""
