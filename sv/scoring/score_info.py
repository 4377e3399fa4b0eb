"""What a score file is: a small JSON file beside it, ``<scores>.json``.

It says which back-end, cohort and calibration made the scores and whether labels were used, so
that a report can mark a result that is not self-supervised. Deleting it loses only these marks.
"""

import json
from pathlib import Path

from sv.errors import InputError
from sv.files import atomic_write

# From nothing to everything: "clusters" are pseudo-labels, made without any true label.
LABELS = ("none", "clusters", "speakers")


def info_path(scores: str | Path) -> Path:
    """Return where the facts about the score file ``scores`` lie."""
    return Path(f"{scores}.json")


def strongest(*kinds: str) -> str:
    """Return the kind of labels that says most: speakers before clusters before none."""
    return max(kinds, key=LABELS.index, default="none")


def read_info(scores: str | Path) -> dict:
    """Return the facts about ``scores``; {} if there are none (another program's scores)."""
    path = info_path(scores)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path} is not JSON; remove it, or make {scores} again") from None


def forget_info(scores: str | Path) -> None:
    """Remove the facts before ``scores`` is replaced, so that old ones never describe new ones."""
    info_path(scores).unlink(missing_ok=True)


def write_info(scores: str | Path, info: dict) -> None:
    """Write the facts about ``scores``, after the scores themselves."""
    with atomic_write(info_path(scores)) as handle:
        json.dump(info, handle, indent=1)
        handle.write("\n")
