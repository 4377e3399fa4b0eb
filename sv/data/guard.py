"""Checks that training and test share no speaker; each program that prepares data calls them."""

import os
from collections.abc import Mapping
from pathlib import Path

from sv.data.labels import read_label_file
from sv.errors import InputError
from sv.files import digest

Labels = Mapping[str, str] | str | os.PathLike
SHOWN = 5
PROBE = 1024
"""Bytes of two files that are compared before the whole files are."""


def check_disjoint(train_labels: Labels, test_labels: Labels, *, allow: bool = False) -> list[str]:
    """Return the speakers that training and test share, sorted; normally the list is empty.

    Args:
        train_labels: ``{utterance: speaker}``, or the path of such a file
            (``data/labels/train/utt2spk``).
        test_labels: the same for the test set.
        allow: return the shared speakers instead of raising. The caller must then mark its result
            as contaminated.

    Raises:
        InputError: speakers are shared and ``allow`` is false, because an error rate on speakers
            seen in training is too low; or a label file cannot be read.
    """
    train, test = _speakers(train_labels), _speakers(test_labels)
    shared = sorted(train & test)
    if shared and not allow:
        first = ", ".join(shared[:SHOWN]) + (", ..." if len(shared) > SHOWN else "")
        raise InputError(
            f"{_name(train_labels, 'training labels')} and {_name(test_labels, 'test labels')} "
            f"share {len(shared):,} speakers ({first}): an error rate on them would be too low; "
            "leave their utterances out of the training set"
        )
    return shared


def copies_of(train: Mapping[str, str], test: Mapping[str, str]) -> dict[str, str]:
    """Return {training id: test id} for training files with the same bytes as a test file.

    ``train``, ``test``: id → path. So links and copies under another name are found. Only files of
    equal size are read, and only files with equal bytes in the middle are read completely.
    """
    suspects: dict[tuple, list[tuple[bool, str, str]]] = {}
    sizes = {os.stat(path).st_size for path in test.values()}
    for is_test, paths in ((True, test), (False, train)):
        for key, path in paths.items():
            size = os.stat(path).st_size
            if is_test or size in sizes:
                suspects.setdefault((size,), []).append((is_test, key, path))
    for mark in (_middle, digest):
        groups: dict[tuple, list[tuple[bool, str, str]]] = {}
        for known, members in suspects.items():
            if len({is_test for is_test, _, _ in members}) == 2:
                for member in members:
                    groups.setdefault((*known, mark(member[2])), []).append(member)
        suspects = groups
    found: dict[str, str] = {}
    for members in suspects.values():
        tested = [key for is_test, key, _ in members if is_test]
        found.update((key, tested[0]) for is_test, key, _ in members if tested and not is_test)
    return found


def _middle(path: str) -> bytes:
    """Return some bytes of the middle of a file."""
    with Path(path).open("rb") as handle:
        handle.seek(os.fstat(handle.fileno()).st_size // 2)
        return handle.read(PROBE)


def _speakers(labels: Labels) -> set[str]:
    return set((labels if isinstance(labels, Mapping) else read_label_file(labels)).values())


def _name(labels: Labels, default: str) -> str:
    return default if isinstance(labels, Mapping) else str(labels)
