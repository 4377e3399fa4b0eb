import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv import cli
from sv.errors import InputError, OtherTraining

ROOT = Path(__file__).resolve().parent.parent


def ending(capsys, error):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "the file system is read-only: choose another output folder"),
        (errno.EACCES, "permission denied"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_troubles_with_files_name_the_file_and_the_remedy(capsys, number, remedy):
    status, text = ending(capsys, OSError(number, os.strerror(number), "exp/last.pt"))
    assert status == 1 and text.startswith("error: exp/last.pt: ") and remedy in text
    assert len(text.splitlines()) == 1


def test_bad_input_is_status_2(capsys):
    assert ending(capsys, InputError("x.yaml: no")) == (2, "error: x.yaml: no\n")


def test_a_checkpoint_of_another_training_has_a_status_of_its_own(capsys):
    """By it local/train.sh knows that it may hint at --name."""
    assert ending(capsys, OtherTraining("last.pt: no")) == (4, "error: last.pt: no\n")


def test_our_own_defects_keep_their_traceback(capsys):
    status, text = ending(capsys, ZeroDivisionError("ours"))
    assert status == 1
    assert text.startswith("Traceback") and text.endswith("ZeroDivisionError: ours\n")


PROGRAM = """
import sys
from sv.cli import parser, run
def main(argv):
    parser("What it does.").parse_args(argv)
    print("the result")
run(main)
"""


@pytest.mark.parametrize(
    ("redirect", "status", "words"),
    [
        (">&-", 1, "standard output takes nothing"),
        ("<&- >&-", 1, "standard output takes nothing"),
        ("--help >&-", 1, "standard output takes nothing"),
        ("> /dev/full", 1, "standard output takes nothing"),
        ("--help > /dev/full", 1, ""),
        ("| true", 141, ""),
        ("> /dev/null", 0, ""),
    ],
)
def test_what_is_printed_and_does_not_arrive_is_a_failure(root, redirect, status, words):
    """With a closed standard output ``print`` of Python says nothing, and the status would be 0."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": ""}
    command = f"set -o pipefail; {sys.executable} -c '{PROGRAM}' {redirect}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert words in done.stderr and len(done.stderr.splitlines()) <= 1


def limited(command, bytes_):
    """Run a command that may write files of at most ``bytes_`` bytes: a disk that is full."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))

    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


@pytest.mark.whole
def test_training_on_a_full_disk_ends_in_a_sentence_and_leaves_no_half_file(
    tmp_path, write_features
):
    data = write_features(tmp_path / "data", [40] * 16)
    sets = ["model.name=ecapa", "model.mel_bins=8", "model.channels=64", "data.crop_seconds=0.3"]
    sets += ["augment.room_probability=0", "augment.noise_probability=0", "train.batch_size=8"]
    sets += ["train.epochs=2", "train.workers=0"]
    command = [sys.executable, "-m", "sv.bin.train", "--data", str(data)]
    command += ["--out", str(tmp_path / "exp"), "--device", "cpu"]
    command += [part for text in sets for part in ("--set", text)]
    done = limited(command, 500_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "error: " in done.stderr and "ulimit -f" in done.stderr
    assert list((tmp_path / "exp" / "checkpoints").iterdir()) == []


def test_a_folder_that_takes_no_files(tmp_path, write_features):
    data = write_features(tmp_path / "data", [40] * 4)
    command = [sys.executable, "-m", "sv.bin.embed_mean", "--data", str(data)]
    command += ["--center-on", str(data), "--out", "/proc/embeddings/test"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: /proc/embeddings")


@pytest.mark.parametrize("variables", [{"PYTHONUTF8": "0", "LC_ALL": "C"}, {"PYTHONUTF8": "0"}])
def test_a_name_with_an_umlaut_where_python_speaks_ascii(tmp_path, variables):
    audio = tmp_path / "größe.wav"
    soundfile.write(audio, np.random.default_rng(0).normal(0, 0.1, 8000), 16000)
    (tmp_path / "list ü.scp").write_text(f"ü {audio}\n", encoding="utf-8")
    command = [sys.executable, "-m", "sv.bin.scan_audio", "--scp", str(tmp_path / "list ü.scp")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONCOERCECLOCALE": "0"} | variables
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "ö.tsv")], env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert "größe.wav\t16000\t1\t8000" in (tmp_path / "ö.tsv").read_text(encoding="utf-8")
