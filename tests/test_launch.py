"""utils/launch: run.pl's contract (logs, one failure fails all) and signals."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

LAUNCH = Path(__file__).resolve().parent.parent / "utils" / "launch"


def launch(*words, cwd, **options):
    command = [sys.executable, LAUNCH, *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, **options)


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_jobs_get_their_number_in_log_and_arguments(tmp_path):
    folder = tmp_path / "a log"
    done = launch(
        "JOB=2:4", folder / "x.JOB.log", "echo", "job JOB", "wav.JOB.scp", "MYJOBS", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]
    # JOB inside another word is a name, not the number.
    assert "\njob 3 wav.3.scp MYJOBS\n" in (folder / "x.3.log").read_text()


def test_log_begins_with_the_command_and_ends_with_the_status(tmp_path):
    launch("x.log", "bash", "-c", "printf 'no newline'; exit 3", cwd=tmp_path)
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert lines[0] == "# bash -c 'printf '\"'\"'no newline'\"'\"'; exit 3'"
    assert str(tmp_path) in lines[1]
    assert lines[2].startswith("# started 2")
    assert "no newline" in lines
    assert re.fullmatch(r"# ended 2.*, \d+\.\d s, exit status 3", lines[-1])


def test_a_former_log_is_kept(tmp_path):
    launch("x.log", "echo", "first", cwd=tmp_path)
    launch("x.log", "echo", "second", cwd=tmp_path)
    assert "second" in (tmp_path / "x.log").read_text()
    assert "first" in (tmp_path / "x.log.old").read_text()


def test_one_failure_fails_all_and_names_its_log(tmp_path):
    script = "echo trouble of JOB; [ JOB = 2 ] && exit 7; [ JOB = 1 ] && sleep 30; touch ran.JOB"
    start = time.monotonic()
    done = launch("--max-jobs", 2, "JOB=1:3", "x.JOB.log", "bash", "-c", script, cwd=tmp_path)
    assert done.returncode == 1
    assert "job 2 failed with exit status 7" in done.stderr
    assert "x.2.log" in done.stderr
    assert "  | trouble of 2" in done.stderr
    assert "trouble of 1" not in done.stderr
    assert time.monotonic() - start < 15  # job 1 was stopped, not waited for
    assert not list(tmp_path.glob("ran.*"))  # and job 3 was never started


def test_a_kill_is_explained(tmp_path):
    done = launch("x.log", "bash", "-c", "kill -KILL $$", cwd=tmp_path)
    assert done.returncode == 1
    assert "lack of memory" in done.stderr


def test_at_most_max_jobs_at_once(tmp_path):
    script = "touch on.JOB; set -- on.*; echo $#; sleep 0.2; rm on.JOB"
    done = launch("--max-jobs", 2, "JOB=1:5", "x.JOB.log", "bash", "-c", script, cwd=tmp_path)
    assert done.returncode == 0
    counts = [int(p.read_text().splitlines()[4]) for p in tmp_path.glob("x.*.log")]
    assert len(counts) == 5 and max(counts) == 2


def test_a_number_of_threads_that_the_user_has_set_stays(tmp_path):
    words = ["bash", "-c", "echo threads=$OMP_NUM_THREADS"]
    launch("x.log", *words, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "77"})
    assert "\nthreads=77\n" in (tmp_path / "x.log").read_text()
    launch("--num-threads", 3, "x.log", *words, cwd=tmp_path)
    assert "\nthreads=3\n" in (tmp_path / "x.log").read_text()


def test_progress_of_the_jobs_is_summed_on_a_terminal(tmp_path):
    line = "x: 25%|##  | $((N * JOB))/40 [00:10<00:15, 4utt/s]"
    script = f'N=0; echo "{line}"; sleep 1.5; N=10; echo "{line}"; sleep 1.5'
    command = [sys.executable, LAUNCH, "--title", "work", "JOB=1:2", "x.JOB.log", "bash", "-c"]
    terminal, other_end = pty.openpty()
    subprocess.run([*command, script], cwd=tmp_path, stderr=other_end, check=True, timeout=60)
    os.close(other_end)
    shown = os.read(terminal, 65536).decode()
    assert "work: 0% (0/80), 0 of 2 jobs ended, 0:01 so far" in shown
    assert "work: 37% (30/80), 0:01 left, 0 of 2 jobs ended, 0:02 so far" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["JOB=1:2", "x.log", "true"], "the log's name needs JOB"),
        (["JOB=3:1", "x.JOB.log", "true"], "JOB=first:last"),
        (["JOB=one", "x.JOB.log", "true"], "JOB=first:last"),
        (["x.log"], "a log file and a command are needed"),
        (["--max-jobs", "0", "x.log", "true"], "0 is not a whole number from 1"),
        (["--backend", "nowhere", "x.log", "true"], "invalid choice"),
    ],
)
def test_wrong_use_is_explained(tmp_path, words, sentence):
    done = launch(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_command_that_does_not_exist(tmp_path):
    done = launch("x.log", "no-such-program", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot start no-such-program: No such file or directory" in done.stderr
    assert "exit status 127" in (tmp_path / "x.log").read_text()


def test_a_log_whose_folder_is_a_file(tmp_path):
    (tmp_path / "log").touch()
    done = launch("log/x.log", "true", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("launch: log")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux has a folder of this kind")
def test_an_impossible_folder_is_explained(tmp_path):
    done = launch("/proc/zz/x.log", "true", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "launch: /proc/zz: no such file or folder: check the path\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_jobs_gently_and_then_launch(tmp_path, number):
    script = "trap 'sleep 0.3; touch saved.JOB; exit 99' TERM; touch on.JOB; sleep 30 & wait"
    command = [sys.executable, LAUNCH, "JOB=1:2", "x.JOB.log", "bash", "-c", script]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("on.*"))) == 2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == -number  # so that the calling shell stops too
    assert len(list(tmp_path.glob("saved.*"))) == 2
    assert "exit status 99" in (tmp_path / "x.1.log").read_text()
    assert "stopped" in stderr


def test_a_second_signal_kills(tmp_path):
    script = "trap 'touch deaf' TERM; touch on; while true; do sleep 0.1; done"
    command = [sys.executable, LAUNCH, "x.log", "bash", "-c", script]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "on").exists)
    process.terminate()
    wait_for((tmp_path / "deaf").exists)
    process.terminate()
    assert process.wait(timeout=20) == -signal.SIGTERM
    assert "exit status 137" in (tmp_path / "x.log").read_text()


def test_usr1_is_handed_on_and_does_not_stop(tmp_path):
    script = "trap 'touch told' USR1; touch on; while [ ! -e told ]; do sleep 0.05; done; echo end"
    command = [sys.executable, LAUNCH, "x.log", "bash", "-c", script]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "on").exists)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 0
    assert "\nend\n" in (tmp_path / "x.log").read_text()


def test_a_job_that_may_be_queued_again_says_so_to_the_caller(tmp_path):
    done = launch("x.log", "bash", "-c", "exit 99", cwd=tmp_path)
    assert done.returncode == 99
    assert "stopped with its state saved; start it again" in done.stderr
    mixed = launch("JOB=98:99", "x.JOB.log", "bash", "-c", "exit JOB", cwd=tmp_path)
    assert mixed.returncode == 1 and "failed with exit status 98" in mixed.stderr
