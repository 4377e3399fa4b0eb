"""utils/once: complete work is skipped, stale work is done again and says why."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ONCE = Path(__file__).resolve().parent.parent / "utils" / "once"
BUMP = ["bash", "-c", "echo ran >> log; touch out"]
STAGE = ["--done", "work/.stage.done", "--input", "in put", "--output", "out", "--key", "k"]


@pytest.fixture
def once(tmp_path):
    """A function that calls once in a folder with an input file."""
    (tmp_path / "in put").write_text("1")

    def call(*words):
        command = [sys.executable, ONCE, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)

    return call


def runs(tmp_path):
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_second_time_is_skipped_with_one_line(once, tmp_path):
    assert once(*STAGE, "--", *BUMP).stdout == ""
    again = once(*STAGE, "--", *BUMP)
    assert again.returncode == 0
    assert again.stdout == "stage: complete, skipped (--force true runs it anyway)\n"
    assert runs(tmp_path) == 1


def test_force_runs_it_anyway(once, tmp_path):
    once(*STAGE, "--", *BUMP)
    once(*STAGE, "--force", "true", "--", *BUMP)
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(
    ("change", "words", "reason"),
    [
        (lambda folder: (folder / "in put").write_text("2"), STAGE, "in put has changed"),
        (lambda folder: (folder / "out").unlink(), STAGE, "out is missing"),
        (
            lambda folder: None,
            [*STAGE, "--key", "new"],
            "the settings have changed from 'k' to 'new'",
        ),
        (lambda folder: None, [*STAGE, "--input", "log"], "log has changed"),
        (
            lambda folder: (folder / "work/.stage.done").write_text("{"),
            STAGE,
            "work/.stage.done cannot be read",
        ),
    ],
)
def test_stale_work_runs_again_and_says_why(once, tmp_path, change, words, reason):
    once(*STAGE, "--", *BUMP)
    change(tmp_path)
    assert f"stage: runs again, because {reason}" in once(*words, "--", *BUMP).stdout
    assert runs(tmp_path) == 2


def test_another_command_is_other_work(once, tmp_path):
    once(*STAGE, "--", *BUMP)
    assert "command" in once(*STAGE, "--", *BUMP, "more").stdout
    assert runs(tmp_path) == 2


def test_touching_an_input_is_no_change(once, tmp_path):
    once(*STAGE, "--", *BUMP)
    os.utime(tmp_path / "in put", (1, 1))
    once(*STAGE, "--", *BUMP)
    assert runs(tmp_path) == 1


def test_a_folder_changes_with_the_names_and_sizes_in_it(once, tmp_path):
    (tmp_path / "audio" / "b").mkdir(parents=True)
    (tmp_path / "audio" / "b" / "x").write_text("1")
    stage = [*STAGE, "--input", "audio", "--", *BUMP]
    once(*stage)
    once(*stage)
    assert runs(tmp_path) == 1
    (tmp_path / "audio" / "b" / "x").write_text("12")
    once(*stage)
    assert runs(tmp_path) == 2
    (tmp_path / "audio" / "b" / "x").rename(tmp_path / "audio" / "x")
    once(*stage)
    assert runs(tmp_path) == 3


def test_a_file_of_the_same_length_in_a_linked_folder(once, tmp_path):
    """A corpus is often a folder of links to where the audio is."""
    (tmp_path / "disk").mkdir()
    audio = tmp_path / "disk" / "x"
    audio.write_text("1")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "up").symlink_to(tmp_path / "corpus")  # no walk without an end
    stage = [*STAGE, "--input", "corpus", "--", *BUMP]
    once(*stage)
    once(*stage)
    assert runs(tmp_path) == 1
    audio.write_text("2")
    os.utime(audio, (1, 1))  # two writes may fall into one tick of the clock
    once(*stage)
    assert runs(tmp_path) == 2


def test_a_dangling_link_in_a_folder_is_left_to_the_work(once, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "gone").symlink_to(tmp_path / "nowhere")
    stage = [*STAGE, "--input", "corpus", "--", *BUMP]
    done = once(*stage)
    assert done.returncode == 0, done.stderr
    (tmp_path / "nowhere").write_text("1")
    once(*stage)
    assert runs(tmp_path) == 2


def test_a_failure_is_not_complete(once, tmp_path):
    assert once(*STAGE, "--", "bash", "-c", "touch out; exit 5").returncode == 5
    once(*STAGE, "--", *BUMP)
    assert runs(tmp_path) == 1


def test_a_failure_ends_earlier_completeness(once, tmp_path):
    """Half of the old outputs and half of new ones must not pass for either."""
    once(*STAGE, "--", *BUMP)
    once(*STAGE, "--key", "new", "--", "false")
    assert once(*STAGE, "--", *BUMP).stdout == ""
    assert runs(tmp_path) == 2


def test_a_command_that_makes_no_output_fails(once):
    done = once(*STAGE, "--", "true")
    assert done.returncode == 1
    assert "ended without making out" in done.stderr


def test_a_missing_input_is_an_error(once, tmp_path):
    done = once(*STAGE, "--input", "absent", "--", *BUMP)
    assert done.returncode == 2
    assert "absent is missing: check the path, or run the stage that makes it" in done.stderr
    assert runs(tmp_path) == 0
    done = once(*STAGE, "--input", "data/train/feats.scp", "--", *BUMP)
    assert "run the stage that makes it: ./run.sh --stage 1 --stop-stage 1" in done.stderr


def test_a_run_waits_for_another_one_if_it_is_told_to(once, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / ".stage.done.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = once(*STAGE, "--", *BUMP)
        assert refused.returncode == 2 and "another run is at work on it" in refused.stderr
        monkeypatch.setenv("SV_LOCK_WAIT", "30")
        end = threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN))
        end.start()
        assert once(*STAGE, "--", *BUMP).returncode == 0 and runs(tmp_path) == 1
        end.join()


def test_check_and_mark(once, tmp_path):
    assert once("check", *STAGE).returncode == 0
    (tmp_path / "out").touch()
    assert once("mark", *STAGE).returncode == 0
    assert once("check", *STAGE).returncode == 3


def test_an_input_that_changes_during_the_work_is_noticed(once, tmp_path):
    once("check", *STAGE)
    (tmp_path / "out").touch()
    (tmp_path / "in put").write_text("changed meanwhile")
    once("mark", *STAGE)
    assert "in put has changed" in once("check", *STAGE).stdout


def test_a_command_that_does_not_exist(once):
    done = once(*STAGE, "--", "no-such-program")
    assert done.returncode == 2
    assert "no-such-program: no such file" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux has a folder of this kind")
def test_an_impossible_folder_is_explained(once):
    done = once("check", "--done", "/proc/zz/.done")
    assert done.returncode == 2
    assert done.stderr == "once: /proc/zz: no such file or folder: check the path\n"


def test_a_failure_of_an_atomic_command_leaves_what_was_complete_complete(once, tmp_path):
    once(*STAGE, "--", *BUMP)
    assert once(*STAGE, "--atomic", "--key", "new", "--", "false").returncode == 1
    assert "complete, skipped" in once(*STAGE, "--", *BUMP).stdout
    assert runs(tmp_path) == 1
