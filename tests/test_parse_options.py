"""utils/parse_options.sh: the variables of a script are its options."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """#!/usr/bin/env bash
# Do something.
#
# Usage: demo.sh [options] {arguments}
set -euo pipefail
stop_stage=8     # last stage to run
name=simclr      # the experiment
text=            # free text
                 # in two lines
force=false      # do it anyway
rate=0.5         # not a whole number
corpus=          # DIR: folder of audio
noise=generated  # DIR|generated: noises
config=conf.yaml # FILE: settings
UPPER=1          # no option
. "{root}/utils/parse_options.sh"
later=1          # no option: it is below
printf '%s\\n' "$stop_stage" "$name" "$text" "$force" "$rate" "$corpus" "$noise" "$config" "$@"
"""
DEFAULTS = ["8", "simclr", "", "false", "0.5", "", "generated", "conf.yaml"]


@pytest.fixture
def demo(tmp_path):
    """A function that runs a script with options, from a folder beside the script's own."""
    folder, caller = tmp_path / "script dir", tmp_path / "caller"
    folder.mkdir()
    caller.mkdir()
    script = folder / "demo.sh"

    def run(*words, arguments=""):
        script.write_text(SCRIPT.format(arguments=arguments, root=ROOT))
        return subprocess.run(["bash", script, *words], cwd=caller, capture_output=True, text=True)

    return run


def values(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_defaults(demo):
    assert values(demo()) == DEFAULTS


def test_values_with_blanks_equals_signs_and_dashes(demo):
    done = demo("--stop-stage", "3", "--name=a b", "--text", "--x=$(id) *", "--rate", "1e-3")
    assert values(done)[:5] == ["3", "a b", "--x=$(id) *", "false", "1e-3"]


def test_the_last_one_counts(demo):
    assert values(demo("--name", "a", "--name", "b"))[1] == "b"


def test_arguments_stay(demo):
    assert values(demo("--force", "true", "a b", "--c", arguments="<x> <y>"))[8:] == ["a b", "--c"]
    assert values(demo("a", "b", "c", arguments="<x> ..."))[8:] == ["a", "b", "c"]
    assert values(demo("--", "--name", arguments="<x>"))[8:] == ["--name"]


def test_paths_are_those_of_the_caller(demo, tmp_path):
    caller = tmp_path / "caller"
    done = demo("--corpus", "my audio", "--config", "x.yaml", "--noise", "generated")
    assert values(done)[5:] == [f"{caller}/my audio", "generated", f"{caller}/x.yaml"]
    assert values(demo("--noise", "musan"))[6] == f"{caller}/musan"
    assert values(demo("--corpus", "/abs"))[5] == "/abs"


def test_a_file_that_only_the_script_has_is_found(demo, tmp_path):
    (tmp_path / "script dir" / "conf.yaml").touch()
    assert values(demo("--config", "conf.yaml"))[7] == f"{tmp_path}/script dir/conf.yaml"
    (tmp_path / "caller" / "conf.yaml").touch()
    assert values(demo("--config", "conf.yaml"))[7] == f"{tmp_path}/caller/conf.yaml"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--stop-stag", "3"], "demo.sh: no option --stop-stag (nearest: --stop-stage)"),
        (["--nam=x"], "no option --nam (nearest: --name)"),
        (["--forse"], "no option --forse (nearest: --force)"),
        (["--UPPER", "2"], "no option --UPPER"),
        (["--later", "2"], "no option --later"),
        (["--PATH", "2"], "no option --PATH"),
        (["-s", "3"], "no option -s"),
        (["--stop-stage"], "--stop-stage needs a value"),
        (["--stop-stage", "x"], "--stop-stage takes a whole number, not 'x'"),
        (["--stop-stage", "9" * 30], "of at most ten digits, not '999"),
        (["--force", "yes"], "--force takes true or false, not 'yes'"),
        (["left", "over"], "expected 0 argument(s), got 2: left over"),
    ],
)
def test_mistakes_are_explained(demo, words, sentence):
    done = demo(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""


def test_missing_arguments_show_the_usage(demo):
    done = demo("a", arguments="<data> <out>")
    assert done.returncode == 2
    assert "expected 2 argument(s), got 1: a" in done.stderr
    assert "usage: demo.sh [options] <data> <out>" in done.stderr


def test_help_lists_options_with_their_defaults(demo):
    done = demo("--stop-stage", "3", "--help")
    assert done.returncode == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:3] == ["Do something.", "", "Usage: demo.sh [options]"]
    assert "--name the experiment (default: simclr)" in lines
    assert "--text free text in two lines (default: none)" in lines
    assert "UPPER" not in done.stdout and "later" not in done.stdout
