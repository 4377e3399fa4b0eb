"""Every program explains itself, and `import sv` stays light."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sv

PROGRAMS = sorted(
    p.stem for p in (Path(sv.__file__).parent / "bin").glob("*.py") if not p.stem.startswith("_")
)


def exit_status(name, *words):
    """Call a program in this process, as `run` does; return the status that it exits with."""
    main = importlib.import_module(f"sv.bin.{name}").main
    with pytest.raises(SystemExit) as ending:
        main(list(words))
    return ending.value.code


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_teaches(name, capsys):
    assert exit_status(name, "--help") in (0, None)
    text = capsys.readouterr().out
    options = [line for line in text.splitlines() if line.strip().startswith("--")]
    assert "Example" in text and len(options) >= 2
    assert len(text.split()) > 60


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_plain_text_in_the_source(name):
    source = (Path(sv.__file__).parent / "bin" / f"{name}.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    texts = [word.value for call in calls for word in call.keywords if word.arg == "help"]
    assert not any(isinstance(text, ast.JoinedStr) for text in texts)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_mistyped_option_is_an_error(name, capsys):
    assert exit_status(name, "--no-such-option", "1") == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_import_is_light():
    code = "import sv, sys; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.whole
def test_settings_are_listed():
    command = [sys.executable, "-m", "sv.bin.train", "--help-settings"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("optim.lr", "method.margin", "model.channels", "augment.noise_snr"):
        assert name in text
    lines = text.splitlines()
    keys = [n for n, line in enumerate(lines) if " = " in line and line.startswith("  ")]
    assert all(lines[n + 1].strip() for n in keys), "an option without help"


@pytest.mark.whole
def test_bad_input_ends_with_one_plain_line(tmp_path):
    command = [sys.executable, "-m", "sv.bin.train", "--data", "nowhere", "--out", "x"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(sv.__file__).parent.parent)},
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: nowhere/feats.scp does not exist")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.whole
def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m sv.bin.train --help-settings | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "rror" not in done.stderr


@pytest.mark.whole
def test_one_command_lists_all_programs_and_hands_on():
    def sv_command(*words):
        return subprocess.run(
            [sys.executable, "-m", "sv.bin", *words], capture_output=True, text=True
        )

    listed = sv_command("--help")
    assert all(f"  {name} " in listed.stdout for name in PROGRAMS)
    assert "usage: sv score" in sv_command("score", "--help").stdout
    unknown = sv_command("trian")
    assert unknown.returncode == 2 and "no such program" in unknown.stderr
