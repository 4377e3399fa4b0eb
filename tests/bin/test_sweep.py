"""Sweeps: the runs of a file, wrong files, and a sweep through the launcher with a failing run."""

import json
import re

import numpy as np
import pytest

from sv.bin import sweep as program
from sv.errors import InputError
from sv.training.sweep import read_sweep

# Stands for a recipe: its "training" writes settings and scores; margin 0.9 fails.
RECIPE = """#!/usr/bin/env bash
set -euo pipefail
config=conf/a.yaml # FILE: settings
name=a             # the experiment is exp/<name>
while [ $# -gt 0 ]; do
  case $1 in
    --name) name=$2 ;;
    --seed) seed=$2 ;;
    --set) set=$2 ;;
  esac
  shift 2
done
margin=${set##*method.margin=}
echo run >> "runs-$margin-$seed"
[ ! -e "exp/$name/scores/test" ] || exit 0
if [ "$margin" = 0.9 ] && [ ! -e mended ]; then echo "it fails" >&2; exit 1; fi
mkdir -p "exp/$name/scores"
printf 'method: {name: simclr, margin: %s}\\ntrain: {seed: %s}\\n' "$margin" "$seed" \\
  > "exp/$name/config.yaml"
cp "scores-$margin" "exp/$name/scores/test"
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with a recipe of a second, its data, and scores that it hands out."""
    rng = np.random.default_rng(0)
    ids = [f"s{speaker}-{number}" for speaker in range(12) for number in range(3)]
    pairs = [(a, b) for a in ids for b in ids if a < b]
    labels = np.array([a.split("-")[0] == b.split("-")[0] for a, b in pairs])
    data = tmp_path / "data" / "test"
    (tmp_path / "data" / "labels" / "test").mkdir(parents=True)
    data.mkdir()
    (data / "trials").write_text(
        "".join(f"{int(same)} {a} {b}\n" for same, (a, b) in zip(labels, pairs, strict=True))
    )
    (tmp_path / "data" / "labels" / "test" / "utt2spk").write_text(
        "".join(f"{name} {name.split('-')[0]}\n" for name in ids)
    )
    for margin, noise in (("0", 1.5), ("0.1", 0.5), ("0.9", 1.0)):
        scores = labels + noise * rng.standard_normal(len(pairs))
        (tmp_path / f"scores-{margin}").write_text(
            "".join(f"{a} {b} {s:.6f}\n" for (a, b), s in zip(pairs, scores, strict=True))
        )
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.yaml").write_text("train: {epochs: 2}\n")
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "run.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(recipe, text, name="m.yaml"):
    (recipe / "conf" / name).write_text(text)
    return recipe / "conf" / name


def test_a_grid_gives_every_combination_with_every_seed(recipe):
    file = write(
        recipe,
        "base: {train.epochs: 3}\n"
        "grid: {method.margin: [0, 0.1], model.channels: [[8, 16], [16, 32]]}\n"
        "seeds: [1, 2]\n",
    )
    found = read_sweep(file, check=False)
    assert len(found.runs) == 8 and found.name == "m"
    run = found.runs[-1]
    assert run.label == "margin_0.1-channels_16_32-seed_2" and run.seed == 2
    assert run.command == (
        ["./run.sh", "--stage", "3", "--stop-stage", "7", "--seed", "2", "--name"]
        + ["m/margin_0.1-channels_16_32-seed_2", "--set"]
        + ["train.epochs=3 method.margin=0.1 model.channels=[16,32]"]
    )


def test_a_list_of_runs_and_options_of_the_recipe(recipe):
    file = write(
        recipe,
        "stages: [5, 7]\n"
        "runs:\n"
        "  - {name: plain, config: conf/a.yaml}\n"
        "  - {config: conf/a.yaml, wave: true}\n",
    )
    first, second = read_sweep(file).runs
    assert (first.label, second.label) == ("plain-seed_0", "config_a-wave_true-seed_0")
    assert first.command[1:5] == ["--stage", "5", "--stop-stage", "7"]
    assert second.command[-4:] == ["--config", "conf/a.yaml", "--wave", "true"]


def test_a_recipe_of_several_experiments_has_them_in_the_folder_of_the_run(recipe):
    text = (recipe / "run.sh").read_text().replace("exp/<name>", "exp/<name>{base,ssps}")
    (recipe / "run.sh").write_text(text)
    run = read_sweep(write(recipe, "grid: {method.margin: [0]}")).runs[0]
    assert run.command[run.command.index("--name") + 1] == "m/margin_0-seed_0/"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids: {method.margin: [0]}", "did you mean 'grid'"),
        ("grid: {method.margin: 0.1}", r"grid: method.margin: expected a list such as \[0, 0.1\]"),
        ("grid: {method.margni: [0.1]}", "did you mean 'margin'"),
        ("grid: {method.margin: [fast]}", "method.margin: expected float, found 'fast'"),
        ("base: {seed: 3}", "seed: this option cannot be swept: write 'seeds:'"),
        ("base: {name: x}", "name: this option cannot be swept"),
        ("seeds: 3", r"seeds: expected different whole numbers, such as \[0, 1, 2\]"),
        ("seeds: [1, 1]", "expected different whole numbers"),
        ("stages: [3]", r"stages: expected different whole numbers, such as \[3, 7\]"),
        ("runs: {a: 1}", "runs: expected a list"),
        ("runs: [{method.margin: 0}, {method.margin: 0}]", "two runs are called margin_0"),
        ("base: {config: conf/none.yaml}", "conf/none.yaml: there is no such configuration"),
        ("base: {method.margin_type: 'a b'}", "a value with a blank"),
        ("recipe: nowhere", "nowhere has no run.sh"),
        ("base: 3", "base: expected 'key: value' lines"),
    ],
)
def test_a_wrong_file_is_refused_before_any_run(recipe, text, message):
    with pytest.raises(InputError, match=message):
        read_sweep(write(recipe, text))


def test_a_missing_file_and_missing_data_are_named(recipe):
    with pytest.raises(InputError, match="no such file of a sweep"):
        program.main(["conf/none.yaml"])
    (recipe / "data").rename(recipe / "elsewhere")
    file = write(recipe, "grid: {method.margin: [0]}")
    with pytest.raises(InputError, match="./run.sh --stop-stage 2"):
        program.main([str(file)])
    with pytest.raises(InputError, match="there are runs 1 to 1"):
        program.main([str(file), "--run", "2"])


def test_a_dry_run_prints_commands_and_starts_nothing(recipe, capsys):
    file = write(recipe, "grid: {method.margin: [0, 0.1]}\nseeds: [0, 1]")
    assert program.main([str(file), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"cd {recipe}" and len(lines) == 5
    assert lines[1].endswith("--name m/margin_0-seed_0 --set method.margin=0")
    assert not (recipe / "exp").exists()


@pytest.mark.whole
def test_a_failed_run_stops_no_other_and_the_same_command_goes_on(recipe, capfd):
    words = [str(write(recipe, "grid: {method.margin: [0.1, 0.9]}"))]
    words += ["--jobs", "2"]
    assert program.main(words) == 1
    printed, errors = capfd.readouterr()
    assert "1 of 2 runs complete" in printed
    log = "log: exp/m/log/run.2.log"
    assert f"margin_0.9-seed_0: failed, exit status 1; {log}" in printed
    assert "it fails" in (recipe / "exp/m/log/run.2.log").read_text()
    assert re.search(r"margin_0\.1 +0 +\d+\.\d\d ", printed)
    assert f"to go on: sv sweep {words[0]} --jobs 2" in errors
    (recipe / "mended").touch()
    assert program.main(words) == 0
    printed, errors = capfd.readouterr()
    assert "2 of 2 runs complete" in printed and "to go on" not in errors
    assert "**" in (recipe / "exp/m/table.md").read_text()
    page = (recipe / "exp/m/table.html").read_text()
    assert "margin_0.1 has the lowest mean EER of 2 settings in 2 runs" in page
    assert json.dumps("method.margin")[1:-1] in page
