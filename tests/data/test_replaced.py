"""A directory is replaced as a whole, and what killed runs have left goes with the old one."""

import os
import subprocess
import sys

import pytest

from sv.data.replaced import replaced_directory


def test_what_dead_processes_have_left_is_removed_and_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    dead, other = int(done.stdout), os.getppid()
    left = [f".train.{dead}.tmp", f".train.{dead}.old"]
    kept = [f".train.{other}.tmp", f".test.{dead}.tmp", ".train.x.tmp", "train.1.tmp"]
    for name in [*left, *kept]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "wav.scp").write_text("half")
    with pytest.raises(KeyError), replaced_directory(tmp_path / "train", "wav.scp"):
        raise KeyError
    assert sorted(os.listdir(tmp_path)) == sorted([*left, *kept])
    with replaced_directory(tmp_path / "train", "wav.scp") as folder:
        (folder / "wav.scp").write_text("whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "train"])
    assert (tmp_path / "train" / "wav.scp").read_text() == "whole"
