"""The front door, the recipes and the stage scripts: help, options, order, any folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/v*/run.sh"))
STAGES = sorted(ROOT.glob("local/*.sh"))
SOURCED = {"path.sh", "cmd.sh", "parse_options.sh", "stages.sh", "begin.sh", "in_processes.sh"}
SOURCED |= {"recipe.sh", "shared_data.sh", "corpus.sh"}

# In the place of a stage script: says how it was called.
RECORDER = """#!/usr/bin/env bash
printf "%s\\n" "${0##*/} $*" >> "$CALLS"
printf "%s\\n" "${0##*/} nj=$nj ngpu=$ngpu nnodes=$nnodes force=$force" >> "$CALLS.exported"
"""


def relative(path):
    return str(path.relative_to(ROOT))


def shell(*words, cwd, **variables):
    environment = {**os.environ, "SV_PYTHON": sys.executable, "CALLS": str(cwd / "calls")}
    return subprocess.run(
        ["bash", *map(str, words)],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("recipe", RECIPES, ids=relative)
def test_a_recipe_is_a_table_of_contents(recipe):
    text = (recipe / "run.sh").read_text()
    assert len(text.splitlines()) <= 60
    assert [f"if stage {number} " in text for number in range(9)] == [True] * 9
    assert len((recipe / "path.sh").read_text().splitlines()) <= 2
    assert (recipe / "RESULTS.md").exists()


@pytest.mark.parametrize("recipe", RECIPES, ids=relative)
def test_help_of_a_recipe_from_another_folder(recipe, tmp_path):
    done = shell(recipe / "run.sh", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--stop-stage" in done.stdout and "(default: 8)" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("script", STAGES, ids=relative)
def test_a_stage_script_has_help_and_wants_its_arguments(script, tmp_path):
    done = shell(script, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Usage: {script.name} " in done.stdout
    done = shell(script, cwd=tmp_path)
    assert done.returncode == 2
    assert f"usage: {script.name} " in done.stderr
    assert not list(tmp_path.iterdir())


def test_every_script_stops_at_the_first_error():
    scripts = [p for p in ROOT.rglob("*.sh") if p.name not in SOURCED and ".venv" not in p.parts]
    assert len(scripts) > 10
    for script in scripts:
        assert "\nset -euo pipefail\n" in script.read_text(), relative(script)
        assert os.access(script, os.X_OK), relative(script)


@pytest.mark.parametrize(
    ("script", "words", "sentence"),
    [
        (
            "prepare_folder.sh",
            ["/no/x", "data"],
            "/no/x: there is no such corpus folder; check --c",
        ),
        (
            "make_banks.sh",
            ["--noise", "/no/x", "b"],
            "/no/x: there is no such folder; check --noise",
        ),
        ("make_banks.sh", ["--rir", "/no/x", "b"], "/no/x: there is no such folder; check --rir"),
        (
            "train.sh",
            ["--config", "/no/x", "d", "b", "e"],
            "no such file of settings; check --config",
        ),
        (
            "train_further.sh",
            ["--system", "session", "b", "d", "b", "e"],
            "--system session is none of ssps, baseline, speakers",
        ),
        (
            "cluster_round.sh",
            ["data/train", "exp"],
            "exp has no embeddings of data/train: they are",
        ),
        (
            "train_round.sh",
            [
                "--config",
                str(ROOT / "egs/mini/v5/conf/aam.yaml"),
                "--round",
                "2",
                "e1",
                "d",
                "b",
                "e2",
            ],
            "e1 has no clusters, which are the labels of round 2: run stage 4",
        ),
    ],
)
def test_a_path_that_is_not_there_is_named_with_its_option(tmp_path, script, words, sentence):
    done = shell(ROOT / "local" / script, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: ") and sentence in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def clone(tmp_path):
    """A copy of the shell files in a folder with blanks; its stage scripts only record calls."""
    clone = tmp_path / "a clone"
    for name in ("run.sh", "path.sh", "setup.py"):
        (clone / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / "utils", clone / "utils")
    # Tests run with any Python: what it lacks is the business of tests/test_environment.py.
    (clone / "utils" / "check_env").write_text("import sys; print(sys.executable)\n")
    for recipe in RECIPES:
        target = clone / recipe.relative_to(ROOT)
        target.mkdir(parents=True)
        for file in recipe.glob("*.sh"):
            shutil.copy(file, target / file.name)
    for script in [*ROOT.glob("egs/*/local/*.sh"), *STAGES]:
        stub = clone / script.relative_to(ROOT)
        stub.parent.mkdir(parents=True, exist_ok=True)
        if script.name in SOURCED:
            shutil.copy(script, stub)
            continue
        stub.write_text(RECORDER)
        stub.chmod(0o755)
    return clone


def calls(cwd):
    path = cwd / "calls"
    return path.read_text().splitlines() if path.exists() else []


def programs(cwd):
    return [line.split()[0] for line in calls(cwd)]


def test_the_front_door_runs_all_stages_of_the_mini_recipe(clone, tmp_path):
    done = shell(clone / "run.sh", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    headers = [line for line in done.stdout.splitlines() if line.startswith("== stage")]
    assert [header.split()[2] for header in headers] == [f"{number}:" for number in range(9)]
    order = list(dict.fromkeys(programs(tmp_path)))
    assert order[0] == "make_corpus.sh"
    assert order[1:] == [
        "extract_features.sh",
        "make_banks.sh",
        "train.sh",
        "average.sh",
        "embed.sh",
        "embed_mean.sh",
        "score_kinds.sh",
        "report.sh",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--stage", "8"], {"report.sh"}),
        (
            ["--stage", "6", "--stop-stage", "7"],
            {"average.sh", "embed.sh", "embed_mean.sh", "score_kinds.sh"},
        ),
        (["--stop-stage", "0"], {"make_corpus.sh"}),
        (["--stage", "4", "--stop-stage", "5"], set()),
    ],
)
def test_first_and_last_stage(clone, tmp_path, options, expected):
    done = shell(clone / "run.sh", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(programs(tmp_path)) == expected


def test_a_first_stage_after_the_last_is_an_error(clone, tmp_path):
    done = shell(clone / "run.sh", "--stage", "5", "--stop-stage", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "--stage 5 is after --stop-stage 3" in done.stderr


def test_options_reach_the_stages(clone, tmp_path):
    words = ["--nj", "7", "--set", "optim.lr=0.1 train.epochs=2", "--name", "try", "--seed", "3"]
    assert shell(clone / "run.sh", *words, cwd=tmp_path).returncode == 0
    text = "\n".join(calls(tmp_path))
    exported = (tmp_path / "calls.exported").read_text().splitlines()
    assert "extract_features.sh nj=7 ngpu=0 nnodes=1 force=false" in exported
    assert {line.split(" ", 1)[1] for line in exported} == {"nj=7 ngpu=0 nnodes=1 force=false"}
    assert "--set optim.lr=0.1 train.epochs=2 --seed 3" in text
    assert "data/test exp/try" in text


def test_a_failing_stage_ends_the_recipe(clone, tmp_path):
    (clone / "local" / "make_banks.sh").write_text("#!/usr/bin/env bash\nexit 4\n")
    done = shell(clone / "run.sh", cwd=tmp_path)
    assert done.returncode == 4
    assert "stage 2" in done.stdout and "stage 3" not in done.stdout


def test_folders_given_to_a_recipe_are_those_of_the_caller(clone, tmp_path):
    caller = tmp_path / "some where"
    caller.mkdir()
    words = ["--recipe", "egs/custom/v1", "--corpus", "my audio", "--noise", "musan"]
    done = shell(clone / "run.sh", *words, "--stop-stage", "2", cwd=caller)
    assert done.returncode == 0, done.stderr
    assert calls(caller)[0].endswith(f"{caller}/my audio data")
    assert f"--noise {caller}/musan --rir  --num-mel-bins " in calls(caller)[-1]


def test_the_custom_recipe_ends_with_a_model_where_there_are_no_trials(clone, tmp_path):
    done = shell(clone / "egs/custom/v1/run.sh", "--corpus", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert programs(tmp_path)[-2:] == ["train.sh", "untested.sh"]
    assert calls(tmp_path)[-1].endswith("exp/simclr")


def test_without_trials_and_without_a_model_there_is_nothing_to_end_with(tmp_path):
    done = shell(ROOT / "local" / "untested.sh", "exp", cwd=tmp_path)
    assert done.returncode == 2
    assert "begin with --stage 0" in done.stderr
    assert "The model is" not in done.stdout


def test_remedies_of_the_programs_are_options_of_the_custom_recipe(clone, tmp_path):
    words = ["--corpus", "x", "--layout", "flat", "--max-bad", "0.2", "--group-speakers", "true"]
    shell(clone / "egs/custom/v1/run.sh", *words, "--stop-stage", "1", cwd=tmp_path)
    prepare, extract = calls(tmp_path)
    assert "--layout flat --group-speakers true --max-bad 0.2" in prepare
    assert "--max-bad 0.2" in extract


def test_the_custom_recipe_has_the_mel_bands_of_published_settings(clone, tmp_path):
    (clone / "egs/custom/v4/data/test").mkdir(parents=True)
    words = ["--corpus", "x", "--data", "own", "--num-mel-bins", "40", "--stop-stage", "2"]
    done = shell(clone / "egs/custom/v4/run.sh", *words, cwd=tmp_path)
    assert "features: filterbanks of 40 bands" in done.stdout
    assert sorted(set(programs(tmp_path)[1:])) == [
        "extract_features.sh",
        "make_banks.sh",
        "mix_trials.sh",
    ]
    assert all(" --num-mel-bins 40 " in call for call in calls(tmp_path)[1:])


def test_the_custom_recipe_needs_a_corpus(clone, tmp_path):
    done = shell(clone / "egs/custom/v1/run.sh", cwd=tmp_path)
    assert done.returncode != 0
    assert "give --corpus, the folder of audio" in done.stderr


def test_mistakes_at_the_front_door(clone, tmp_path):
    done = shell(clone / "run.sh", "--stop-stag", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "nearest: --stop-stage" in done.stderr
    done = shell(clone / "run.sh", "--recipe", "egs/none/v1", cwd=tmp_path)
    assert done.returncode == 2
    assert "no recipe egs/none/v1; there are: egs/custom/v1 egs/custom/v2 egs/" in done.stderr
    assert calls(tmp_path) == []


def test_help_at_the_front_door_names_both_kinds_of_options(clone, tmp_path):
    done = shell(clone / "run.sh", "--recipe", "egs/custom/v1", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--recipe egs/mini/v1" in done.stdout
    assert "--corpus" in done.stdout and "DIR: folder of audio" in done.stdout


PREFIX = '"$(dirname -- "${BASH_SOURCE[0]}")/../../../'


@pytest.mark.parametrize("recipe", RECIPES, ids=relative)
def test_a_recipe_works_as_a_copy_in_any_folder(clone, tmp_path, recipe):
    """Beside the others, as README.md says; and far away, with the repository's place put in."""
    source = clone / recipe.relative_to(ROOT)
    beside = clone / "egs" / "mine" / "v1"
    shutil.copytree(source, beside)
    far = tmp_path / "far"
    shutil.copytree(source, far)
    for script in far.glob("*.sh"):
        script.write_text(script.read_text().replace(PREFIX, f'"{clone}/'))
    corpus = ["--corpus", "x"] if "custom" in recipe.parts else []
    for copy in (beside, far):
        (tmp_path / "calls").unlink(missing_ok=True)
        done = shell(copy / "run.sh", *corpus, "--stop-stage", "2", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert {"extract_features.sh", "make_banks.sh"} <= set(programs(tmp_path))
        assert (copy / "data" / f".made.{recipe.parent.name}.banks").exists()


def test_one_folder_for_the_scores_of_several_systems_is_refused(tmp_path):
    done = shell(ROOT / "local" / "score.sh", "--out", "x", "data", "a", "b", cwd=tmp_path)
    assert done.returncode == 2
    assert "/x is for one system: call score.sh for each of a b" in done.stderr


def test_a_finding_of_style_does_not_keep_the_tests_from_running(tmp_path):
    """tests/run.sh in a copy with a Python and a shellcheck of our own, which find something."""
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "run.sh", tmp_path / "tests")
    (tmp_path / "path.sh").touch()
    programs = {
        "python": 'case "$*" in *"ruff check"*) exit 1 ;; *pytest*) echo "tests ran" ;; esac'
    }
    programs["shellcheck"] = "exit 1"
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = shell(tmp_path / "tests" / "run.sh", cwd=tmp_path, PATH=path)
    assert "tests ran" in done.stdout and done.returncode == 1
    assert "style: 'python -m ruff' has findings" in done.stderr
    assert "style: 'shellcheck" in done.stderr
