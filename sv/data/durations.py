"""The durations of utterances: the file ``utt2dur``."""

import os

from sv.errors import InputError
from sv.kaldi.tables import read_dict
from sv.numbers import to_float


def read_seconds(path: str | os.PathLike) -> dict[str, float]:
    """Return {utterance: seconds} from a file of lines ``<utterance> <seconds>``.

    Raises:
        InputError: see ``sv.kaldi.tables.read_dict``; or a duration is no number above 0.
    """
    found = {}
    for key, text in read_dict(path, expected="<utterance> <seconds>").items():
        try:
            found[key] = to_float(text)
        except ValueError as error:
            raise InputError(
                f"{path}: the duration of {key!r}: {error}; run stage 0 again"
            ) from None
        if found[key] <= 0:
            raise InputError(f"{path}: the duration of {key!r} is {text}, not above 0; correct it")
    return found
