"""True speakers, sessions and groups: the files behind the firewall.

Only scoring, diagnosis and supervised recipes read ``data/labels/<set>/utt2spk`` (and
``utt2session``, ``utt2group``). Deleting these files changes no self-supervised training.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from sv.data.utterance import Utterance
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.tables import read_dict


@contextlib.contextmanager
def staged_labels(labels_dir: str | os.PathLike, utterances: Iterable[Utterance]) -> Iterator[None]:
    """Write ``utt2spk``, ``utt2session`` and ``utt2group`` with the labels that are known.

    If the block succeeds, the new files replace older ones. If no label of a kind is known, its
    file is not written, and an older file of that name is removed. A session is named
    ``<speaker>-<session>``, so session names are unique.

    Raises:
        InputError: a label is empty or has blanks.
    """
    labels_dir = Path(labels_dir)
    utterances = list(utterances)
    tables = {
        "utt2spk": [(u.id, u.speaker) for u in utterances if u.speaker is not None],
        "utt2session": [
            (u.id, u.session if u.speaker is None else f"{u.speaker}-{u.session}")
            for u in utterances
            if u.session is not None
        ],
        "utt2group": [(u.id, u.group) for u in utterances if u.group is not None],
    }
    for name, rows in tables.items():
        for utterance_id, value in rows:
            if len(value.split()) != 1:
                raise InputError(
                    f"{labels_dir / name}: the label '{value}' of {utterance_id} is empty or has "
                    "blanks; replace them by '_'"
                )
    with contextlib.ExitStack() as stack:
        for name, rows in tables.items():
            if rows:
                handle = stack.enter_context(atomic_write(labels_dir / name))
                handle.writelines(f"{key} {value}\n" for key, value in sorted(rows))
                handle.flush()  # a full disk raises here, before anything is replaced
        yield
    for name, rows in tables.items():
        if not rows:
            (labels_dir / name).unlink(missing_ok=True)


def read_label_file(path: str | os.PathLike) -> dict[str, str]:
    """Return ``{utterance id: label}`` of a two-column file.

    Raises:
        InputError: the file is missing or empty, a line has not two columns, or an id occurs twice.
    """
    missing = (
        ": no such label file; true labels are needed here, and stage 0 writes them if the corpus "
        "has them"
    )
    return read_dict(path, missing, expected="<utterance> <label>", one_word=True)


def refuse_gaps(
    path: str | os.PathLike, labels: Mapping[str, str], ids: Iterable[str], of: str
) -> None:
    """Raise ``InputError`` if one of ``ids`` has no label. ``of``: name of the set of ids."""
    ids = list(ids)
    missing = [name for name in ids if name not in labels]
    if missing:
        raise InputError(
            f"{path}: {len(missing):,} of {len(ids):,} utterances have no label, the first is "
            f"{missing[0]!r}: complete the file, or give the labels of {of}"
        )


def numbered_labels(
    path: str | os.PathLike, ids: Iterable[str], of: str = "training set"
) -> tuple[list[str], np.ndarray]:
    """Return the different labels of ``ids``, sorted, and for each id the place of its label: (N,).

    Raises:
        InputError: the file is missing or damaged, or lacks the label of an id.
    """
    labels = read_label_file(path)
    ids = list(ids)
    refuse_gaps(path, labels, ids, f"this {of}")
    names, numbers = np.unique([labels[name] for name in ids], return_inverse=True)
    return names.tolist(), numbers.reshape(-1).astype(np.int64)
