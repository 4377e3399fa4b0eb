"""Experiments as the runs of settings: one row for each setting, with a run for each seed."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sv import config
from sv.errors import InputError
from sv.report.differences import as_words, differing_names, value_of
from sv.report.facts import read_training
from sv.report.files import read_log
from sv.scoring.evaluate import SystemResult

BUDGETS = {
    "updates": "updates",
    "crops": "crops seen",
    "hours": "hours of speech seen",
    "train_utterances": "training utterances",
}
"""Key of a budget → its name for readers."""


@dataclass
class Run:
    """An experiment with its figures on one trial list.

    ``settings``: those that influence the result, without the seed; {} for a baseline that is not
    trained. ``seed``: of the training, None if it is not known. ``budget``: key of ``BUDGETS`` →
    number, for those that are known.
    """

    exp: Path
    result: SystemResult
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, exp: Path, result: SystemResult) -> "Run":
        """Read the settings and the facts of an experiment folder, as far as they exist."""
        facts, file = read_training(exp), exp / "config.yaml"
        written = config.read_yaml(file) if file.exists() else {}
        groups = {group: values for group, values in written.items() if isinstance(values, dict)}
        seed = groups.get("train", {}).get("seed", facts.get("seed"))
        settings = config.without_seed(groups)
        return cls(exp, result, settings, seed, facts, _budget(exp, facts))

    @property
    def digest(self) -> str:
        """Hash of the settings without the seed; of the path if there are none."""
        return config.digest(self.settings or {"path": str(self.exp)})


def _budget(exp: Path, facts: Mapping[str, Any]) -> dict[str, float]:
    """Return what a training has cost, as far as its files tell."""
    found: dict[str, float] = {}
    if isinstance(facts.get("train_utterances"), int):
        found["train_utterances"] = facts["train_utterances"]
    steps, epochs = facts.get("steps_per_epoch"), facts.get("epochs")
    if not steps or not epochs:
        return found
    found["updates"] = steps * epochs
    each = facts.get("crops_per_step")
    if each is None:  # a training of an earlier version: its log knows crops a second
        rows = [row for row in read_log(exp / "train.jsonl") if "crops_per_second" in row]
        each = rows[0]["crops_per_second"] * rows[0]["seconds"] / steps if rows else None
    if each is not None:
        found["crops"] = round(each * steps * epochs)
        if facts.get("mean_crop_seconds"):
            found["hours"] = found["crops"] * facts["mean_crop_seconds"] / 3600
    return found


@dataclass
class Row:
    """A setting: its ``label``, and its runs in the order of their seeds."""

    label: str
    runs: list[Run]

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each run."""
        return [run.seed for run in self.runs]

    def budget(self, key: str) -> float | None:
        """Return a budget of ``BUDGETS``, the mean of the runs; None if it is not known of all."""
        values = [run.budget.get(key) for run in self.runs]
        return None if None in values else sum(values) / len(values)


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Return one row for each setting, in the order of the mean EER.

    Raises ``InputError`` if two runs have the same settings and the same seed.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.digest, []).append(run)
    names = _short_names([run.exp for run in runs])
    rows = []
    for members in groups.values():
        members.sort(key=lambda run: (run.seed is None, run.seed))
        seeds: dict[int | None, Run] = {}
        for run in members:
            if run.seed in seeds:
                raise InputError(
                    f"{seeds[run.seed].exp} and {run.exp} have the same settings and the same "
                    f"seed, {run.seed}: give one of them"
                )
            seeds[run.seed] = run
        rows.append(Row(_without_seed(names[members[0].exp], members[0].seed), members))
    labels = [row.label for row in rows]
    for row in rows:
        if labels.count(row.label) > 1:
            row.label = f"{row.label} ({row.runs[0].digest[:6]})"
    return sorted(rows, key=lambda row: sum(r.result.eer.value for r in row.runs) / len(row.runs))


def _short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Return each path without the part that all have in common."""
    whole = {folder: Path(os.path.abspath(folder)) for folder in folders}
    common = os.path.commonpath([path.parent for path in whole.values()])
    return {folder: os.path.relpath(path, common) for folder, path in whole.items()}


def _without_seed(name: str, seed: int | None) -> str:
    """Return the name of an experiment without its seed: ``margin_0.1-seed_2`` → ``margin_0.1``."""
    parts = [re.sub(rf"(?<=.)[-_.]?(seed)?[-_=]?{seed}$", "", part) for part in name.split("/")]
    return "/".join(parts).rstrip("-_.")


def differing(rows: Sequence[Row]) -> list[str]:
    """Return the settings, as ``group.key``, in which rows differ; baselines have no settings."""
    trained = [row.runs[0].settings for row in rows if row.runs[0].settings]
    return differing_names(trained)


def setting(row: Row, name: str) -> str:
    """Return the value of ``group.key`` in a row as text; ``-`` if the row has no such setting."""
    return as_words(value_of(row.runs[0].settings, name))


def common_settings(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the settings in which all trained rows agree."""
    different = set(differing(rows))
    trained = [row.runs[0].settings for row in rows if row.runs[0].settings]
    return {
        group: {key: value for key, value in values.items() if f"{group}.{key}" not in different}
        for group, values in (trained[0] if trained else {}).items()
    }


def unequal_budgets(rows: Sequence[Row], tolerance: float = 0.01) -> list[str]:
    """Return the keys of ``BUDGETS`` that differ between rows by more than ``tolerance``."""
    found = []
    for key in BUDGETS:
        values = [value for row in rows if (value := row.budget(key)) is not None]
        if values and max(values) > (1 + tolerance) * min(values):
            found.append(key)
    return found
