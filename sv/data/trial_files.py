"""Trial lists as they are distributed, which name files, → lists of utterance ids."""

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from sv.errors import InputError
from sv.files import atomic_write
from sv.scoring.trials import Trials, read_trials

SHOWN = 10
BLOCK = 1 << 16


def id_of(name: str) -> str:
    """Return the utterance id that a path ``<speaker>/<session>/<utterance>.wav`` means."""
    return "-".join(PurePosixPath(name).with_suffix("").parts)


def read_distributed(path: str | os.PathLike) -> Trials:
    """Read a trial list whose names are paths; ``names`` of the result are utterance ids.

    Raises:
        InputError: see ``sv.scoring.trials.read_trials``; or one class is missing, or two paths
            mean one utterance.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such trial list; give the folder that holds it")
    trials = read_trials(path)
    trials.require_both_classes()
    names = [id_of(name) for name in trials.names]
    if len(set(names)) != len(names):
        raise InputError(f"{path}: two of its paths mean the same utterance; check the list")
    return Trials(trials.path, names, trials.enrol, trials.test, trials.labels)


def refuse_missing(trials: Trials, known: Collection[str], where: str) -> None:
    """Raise ``InputError`` if trials name utterances that are not ``known``.

    The message counts them and names the first ten in the order of the list. ``where``: what was
    looked through.
    """
    absent = {name for name in trials.names if name not in known}
    if not absent:
        return
    positions = [number for number, name in enumerate(trials.names) if name in absent]
    first = {}
    for side in (trials.enrol, trials.test):
        for line, number in enumerate(side.tolist(), 1):
            if trials.names[number] in absent:
                first[number] = min(line, first.get(number, line))
    shown = sorted(positions, key=first.__getitem__)[:SHOWN]
    text = ", ".join(f"{trials.names[number]} (line {first[number]})" for number in shown)
    raise InputError(
        f"{trials.path}: names {len(absent):,} files (of {len(trials.names):,}) that are not in "
        f"{where}: {text}{', ...' if len(absent) > SHOWN else ''}; complete the corpus: error "
        "rates of a part of the list cannot be compared"
    )


def write_trials(path: str | os.PathLike, trials: Trials) -> None:
    """Write lines ``<1|0> <enrol-id> <test-id>`` in the order of the list."""
    names = trials.names
    with atomic_write(path) as handle:
        for start in range(0, len(trials), BLOCK):
            part = slice(start, start + BLOCK)
            columns = (x[part].tolist() for x in (trials.labels, trials.enrol, trials.test))
            handle.writelines(
                f"{int(label)} {names[enrol]} {names[test]}\n"
                for label, enrol, test in zip(*columns, strict=True)
            )
