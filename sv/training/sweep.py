"""Sweeps: a short YAML file becomes the runs of a recipe, one for each setting and seed.

    base: {config: conf/simclr.yaml, train.epochs: 10}
    grid:
      method.margin: [0, 0.1]
      method.temperature: [0.03, 0.05]
    seeds: [0, 1, 2]

A key with a dot is a setting of the training (``--set``); a key without a dot is an option of the
recipe's ``run.sh``. ``base`` holds for all runs. ``grid`` gives every combination of its lists.
``runs`` is a list of such mappings instead, each with a ``name`` if you like; with both, each of
``runs`` is combined with the grid. ``recipe`` is the folder of ``run.sh`` (default: the present
one), and ``stages`` the first and the last stage of a run (default: [3, 7]).
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sv import config
from sv.errors import InputError

KEYS = ("recipe", "base", "grid", "runs", "seeds", "stages")
OURS = {"seed", "name", "set", "stage", "stop_stage", "force"}
"""Options of a recipe that the sweep gives itself."""
NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclasses.dataclass
class SweepRun:
    """A run: its ``label`` (a folder in ``exp/<sweep>``), the seed, and the words of its command.

    ``values``: option of run.sh or ``group.key`` → value. ``folder``: what the run writes to, seen
    from the recipe.
    """

    label: str
    seed: int
    values: dict[str, Any]
    command: list[str]
    folder: Path


@dataclasses.dataclass
class Sweep:
    """All runs of a sweep; ``name``: of its folder ``exp/<name>`` in the ``recipe``."""

    name: str
    recipe: Path
    runs: list[SweepRun]

    @property
    def folder(self) -> Path:
        """The folder with one folder for each run."""
        return self.recipe / "exp" / self.name


def read_sweep(path: Path, check: bool = True) -> Sweep:
    """Read a file of a sweep and check every run, before any of them starts.

    ``check``: also the settings, which loads torch; the runs themselves check theirs again.

    Raises ``InputError`` if the file, a key, a setting or the recipe is wrong.
    """
    raw = config.read_yaml(path, ": there is no such file of a sweep: check the path")
    config.check_known_keys(raw, KEYS, f"{path}: key")
    recipe = Path(raw.get("recipe") or ".")
    if not (recipe / "run.sh").is_file():
        raise InputError(
            f"{path}: recipe: {recipe} has no run.sh: change to the folder of a recipe, or name "
            "one, such as 'recipe: egs/mini/v1'"
        )
    script = (recipe / "run.sh").read_text(encoding="utf-8")
    seeds, stages = raw.get("seeds", [0]), raw.get("stages", [3, 7])
    _check_numbers(seeds, f"{path}: seeds", "[0, 1, 2]")
    _check_numbers(stages, f"{path}: stages", "[3, 7]", 2)
    name, runs = _folder_name(path.stem, f"{path}: the name of the file"), []
    labels: dict[str, dict] = {}
    for label, values in _settings(raw, path):
        if label in labels:
            raise InputError(f"{path}: two runs are called {label}: give each a 'name:'")
        labels[label] = values
        words, overrides = _words(values, path)
        if check:
            _check_settings(overrides, values, recipe, script)
        for seed in seeds:
            run = f"{label}-seed_{seed}"
            end = "/" if "exp/<name>{" in script else ""  # a recipe of several experiments
            command = ["./run.sh", "--stage", str(stages[0]), "--stop-stage", str(stages[1])]
            command += ["--seed", str(seed), "--name", f"{name}/{run}{end}", *words]
            runs.append(SweepRun(run, seed, values, command, Path("exp", name, run)))
    return Sweep(name, recipe, runs)


def experiments_of(sweep: Sweep, scores: str) -> list[Path]:
    """Return the experiments of all runs that have ``scores/<scores>``.

    A recipe of several experiments, such as a base and SSPS, has them in the folder of the run.
    """
    found = []
    for run in sweep.runs:
        folder = sweep.recipe / run.folder
        inside = sorted(path for path in folder.glob("*") if (path / "config.yaml").is_file())
        for path in [folder] if (folder / "config.yaml").is_file() else inside:
            found += [path] if (path / "scores" / scores).is_file() else []
    return found


def _settings(raw: Mapping, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (label, values) of every setting, in the order of the file."""
    base = _mapping(raw.get("base") or {}, f"{path}: base")
    grid = _mapping(raw.get("grid") or {}, f"{path}: grid")
    runs = raw.get("runs") or [{}]
    if not isinstance(runs, list):
        raise InputError(f"{path}: runs: expected a list of settings, each after a '-'")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: grid: {key}: expected a list such as [0, 0.1]")
    found = []
    for number, run in enumerate(runs, start=1):
        own = dict(_mapping(run or {}, f"{path}: runs: number {number}"))
        name = own.pop("name", None)
        for point in itertools.product(*grid.values()):
            chosen = dict(zip(grid, point, strict=True))
            parts = [name] if name else []
            parts += [
                _part(key, value, own | chosen)
                for key, value in (chosen if name else own | chosen).items()
            ]
            label = _folder_name("-".join(map(str, parts)) or "base", f"{path}: the name of a run")
            found.append((label, {**base, **own, **chosen}))
    return found


def _part(key: str, value: Any, all_keys: Mapping) -> str:
    """Return the part of a label that a setting gives, such as ``margin_0.1``."""
    short = key.rpartition(".")[2]
    if sum(other.rpartition(".")[2] == short for other in all_keys) > 1:
        short = key
    text = Path(value).stem if isinstance(value, str) and "/" in value else _text(value)
    return f"{short}_{re.sub(r'[^a-zA-Z0-9.+-]+', '_', text).strip('_')}"


def _folder_name(text: str, what: str) -> str:
    name = re.sub(r"[^\w.+-]+", "_", text).strip("_")
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what}: {text!r} gives no name of a folder: begin with a letter or digit"
        )
    return name


def _words(values: Mapping[str, Any], path: Path) -> tuple[list[str], list[str]]:
    """Return the options of run.sh for a setting, and the texts of its ``--set``."""
    words, overrides = [], []
    for key, value in values.items():
        if "." in key:
            overrides.append(f"{key}={_text(value)}")
            continue
        option = key.replace("-", "_")
        if option in OURS:
            remedy = "write 'seeds:'" if option == "seed" else "the sweep gives it itself"
            raise InputError(f"{path}: {key}: this option cannot be swept: {remedy}")
        words += [f"--{option.replace('_', '-')}", _text(value)]
    for text in overrides:
        if re.search(r"\s", text):
            raise InputError(f"{path}: {text}: a value with a blank cannot be handed to run.sh")
    return words + (["--set", " ".join(overrides)] if overrides else []), overrides


def _check_settings(
    overrides: list[str], values: Mapping[str, Any], recipe: Path, script: str
) -> None:
    """Raise ``InputError`` if a training would refuse the settings."""
    from sv.training.experiment import SCHEMA, Experiment  # slow to load

    file = _config_file(values, recipe, script)
    if file is not None:
        Experiment.load(file, overrides)
    else:
        config.collect(SCHEMA, None, overrides)


def _config_file(values: Mapping[str, Any], recipe: Path, script: str) -> Path | None:
    """Return the file of settings that a run reads, or None if run.sh alone knows it."""
    options = dict(re.findall(r"^(config|method|base_config)=(\S+)", script, re.MULTILINE))
    if "base_config" in options:  # rounds: the settings hold for two trainings
        return None
    options |= {key: str(value) for key, value in values.items() if key in ("config", "method")}
    named = options.get("config") or (
        f"conf/{options['method']}.yaml" if "method" in options else ""
    )
    # run.sh, which is started in its folder, takes a path from there.
    return recipe / named if named and ("config" in values or (recipe / named).is_file()) else None


def _text(value: Any) -> str:
    """Return a value as one word of YAML, without blanks where YAML needs none."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]
    return text.replace(", ", ",").replace(": ", ":") if isinstance(value, list) else text


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what}: expected 'key: value' lines, such as 'method.margin: 0.1'")
    return value


def _check_numbers(values: Any, what: str, example: str, count: int = 0) -> None:
    good = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    good = good and all(type(value) is int and value >= 0 for value in values)
    if not good or (count and len(values) != count) or len(set(values)) != len(values):
        raise InputError(f"{what}: expected different whole numbers, such as {example}")
