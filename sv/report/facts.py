"""The facts about a training, from ``train.json``, as text for readers."""

import json
from pathlib import Path

from sv.errors import InputError
from sv.files import sha256
from sv.provenance import git_commit

UNKNOWN = "-"
FACTS = {
    "method": "method",
    "encoder": "encoder",
    "epochs": "epochs",
    "checkpoint_rule": "checkpoint rule",
    "seed": "seed",
    "config_hash": "configuration",
    "git_commit": "commit",
    "hardware": "hardware",
    "wall_seconds": "training time",
}
"""Key of train.json -> its name for readers."""


def read_training(exp: Path) -> dict[str, object]:
    """Return the content of ``train.json`` of an experiment; {} if the file does not exist.

    Raises ``InputError`` if the file is not a JSON object.
    """
    path = exp / "train.json"
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); train again, or delete it") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path} should hold a JSON object; train again, or delete it")
    return facts


def training_facts(exp: Path | None) -> dict[str, str]:
    """Return the facts about a training as text; ``-`` for unknown.

    They come from ``train.json`` and ``config.yaml`` of the experiment folder, if these exist. If
    there is no training, the commit is that of the present code.
    """
    facts = {} if exp is None else read_training(exp)
    if exp is not None and "config_hash" not in facts and (exp / "config.yaml").exists():
        facts["config_hash"] = sha256(exp / "config.yaml")
    facts.setdefault("git_commit", git_commit())
    if isinstance(facts.get("wall_seconds"), (int, float)):
        facts["wall_seconds"] = duration(facts["wall_seconds"])
    return {key: UNKNOWN if facts.get(key) is None else str(facts[key]) for key in FACTS}


def duration(seconds: float) -> str:
    """Return ``2:05:09`` (with hours) or ``5:09`` (minutes and seconds)."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
