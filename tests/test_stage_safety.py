"""Stages that are killed, started twice at once, or may not write: no mixture, a sentence."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sv.audio.files import write_audio

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
ENVIRONMENT |= {"SV_PYTHON": sys.executable}

STAGE = f"""#!/usr/bin/env bash
# A stage whose work is to wait.
#
# Usage: stage.sh [options] <out>
set -euo pipefail
force=false  # run it even if complete
. "{ROOT}/utils/parse_options.sh"
. "{ROOT}/path.sh"
out=$1
what=(--title "a stage" --done "$out/.stage.done" --output "$out/x")
. begin.sh "${{what[@]}}" --force "$force"
launch --title jobs "JOB=1:1" "$out/log.JOB" bash -c 'echo $$ > "$0/job"; until [ -e "$0/go" ]
  do sleep 0.05; done; echo made > "$0/x"' "$out"
once mark "${{what[@]}}"
"""


def start(*words):
    return subprocess.Popen(
        [str(word) for word in words],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process, timeout=120):
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def wait_for(path, process):
    while not path.exists() or not path.read_text().strip():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def stage(tmp_path):
    path = tmp_path / "stage.sh"
    path.write_text(STAGE)
    return path


def test_the_second_of_two_runs_is_refused(stage, tmp_path):
    out = tmp_path / "o ut"
    first = start("bash", stage, out)
    try:
        wait_for(out / "job", first)
        status, output = finish(start("bash", stage, out))
        assert status == 2
        assert "a stage: another run is at work on it (process " in output, output
        assert "wait until it has ended, or end it" in output
        # Killed outright, its job still writes: a second run would write beside it.
        first.kill()
        first.wait()
        assert finish(start("bash", stage, out))[0] == 2
    finally:
        (out / "go").touch()
        first.kill()
    deadline = time.monotonic() + 60
    while (out / "x").exists() is False and time.monotonic() < deadline:
        time.sleep(0.05)
    (out / "x").unlink()
    while True:  # the job needs a moment to end
        status, output = finish(start("bash", stage, out))
        if "another run" not in output:
            break
        assert time.monotonic() < deadline
    assert status == 0, output
    assert (out / "x").read_text() == "made\n"
    status, output = finish(start("bash", stage, out))
    assert status == 0 and "complete, skipped" in output


def test_a_run_of_one_command_holds_the_lock_too(tmp_path):
    once = [sys.executable, ROOT / "utils/once", "--done", tmp_path / ".x.done", "--title", "x"]
    first = start(*once, "--", "bash", "-c", "echo $$ > $0/job; sleep 60", tmp_path)
    wait_for(tmp_path / "job", first)
    status, output = finish(start(*once, "--", "true"))
    assert status == 2 and "x: another run is at work on it" in output
    os.killpg(first.pid, signal.SIGKILL)  # nothing is left that would have to be cleared away
    first.wait()
    assert finish(start(*once, "--", "true")) == (0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_complete_results_that_nobody_may_write_are_skipped(stage, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "go").touch()
    assert finish(start("bash", stage, out))[0] == 0
    out.chmod(0o555)
    try:
        status, output = finish(start("bash", stage, out))
        assert status == 0 and "complete, skipped" in output
        status, output = finish(start("bash", stage, "--force", "true", out))
        assert status == 2 and "permission denied" in output and "Traceback" not in output
    finally:
        out.chmod(0o755)


# ---------------------------------------------------------------- killed and started again


def write_corpus(folder):
    rng = np.random.default_rng(0)
    for speaker in range(3):
        for number in range(4):
            samples = 0.1 * rng.standard_normal(16000 + 100 * number)
            (folder / f"s{speaker}").mkdir(parents=True, exist_ok=True)
            write_audio(folder / f"s{speaker}" / f"u{number}.wav", samples, 16000)
    (folder / "trials").write_text("1 s0/u0.wav s0/u1.wav\n0 s0/u0.wav s1/u0.wav\n")
    return folder


def contents(folder):
    """Return name -> bytes of the results in a folder, the folder's own name taken out of them."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and "log/" not in name and not path.name.endswith((".done", ".lock")):
            found[name] = path.read_bytes().replace(str(folder).encode(), b"FOLDER")
    return found


def killed_often(words, kills, seconds, rng):
    """Start a stage, kill all of it at a random moment, again and again; then let it end."""
    for _ in range(kills):
        process = start(*words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, seconds))
        end_all(process)
    status, output = finish(start(*words))
    assert status == 0, output


def end_all(process):
    """End a stage as ``kill -9`` on everything of its session and its jobs' sessions would."""
    members = [process.pid]
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            marks = Path("/proc", number, "environ").read_bytes()
            if f"KILLED={id(ENVIRONMENT)}".encode() in marks.split(b"\0"):
                members.append(int(number))
    for number in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.communicate()


ENVIRONMENT["KILLED"] = str(id(ENVIRONMENT))
KILLS = [2, pytest.param(12, marks=pytest.mark.slow)]


def stages(corpus, work):
    """The commands of two stages whose results are in ``work``."""
    data, fbank = work / "data", work / "fbank"
    prepare = ["bash", ROOT / "local/prepare_folder.sh", corpus, data]
    extract = ["bash", ROOT / "local/extract_features.sh", "--nj", "1", data / "train", fbank]
    return prepare, [*extract[:2], "--num-mel-bins", "8", *extract[2:]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A corpus, what undisturbed stages make of it, and how long each of them takes."""
    folder = tmp_path_factory.mktemp("stages")
    corpus, seconds = write_corpus(folder / "corpus"), []
    for words in stages(corpus, folder / "whole"):
        began = time.monotonic()
        status, output = finish(start(*words))
        assert status == 0, output
        seconds.append(time.monotonic() - began)
    return corpus, contents(folder / "whole"), seconds


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for jobs in /proc")
@pytest.mark.parametrize("kills", KILLS)
def test_stages_killed_at_random_points_end_with_the_same_files(whole, tmp_path, kills):
    corpus, expected, seconds = whole
    rng = random.Random(kills)
    for words, duration in zip(stages(corpus, tmp_path / "killed"), seconds, strict=True):
        killed_often(words, kills, duration, rng)
    found = contents(tmp_path / "killed")
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
