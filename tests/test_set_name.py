"""The names of test sets in a folder of results: two sets never have the same one."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent


def name_of(folder, data, *words, cwd):
    command = [ROOT / "utils" / "set_name", *words, folder, data]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def sets(tmp_path):
    for name in ("a/test", "b/test", "c/b/test"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_equal_names_get_the_folders_above_in_front(sets):
    names = ["test", "b-test", "c-b-test"]
    order = ["a/test", "b/test", "c/b/test"]
    assert [name_of("exp/e", one, "--claim", cwd=sets) for one in order] == names
    assert [name_of("exp/e", one, cwd=sets) for one in order] == names
    assert [name_of("exp/e", sets / one / "", cwd=sets) for one in order] == names
    assert name_of("exp/other", "c/b/test", cwd=sets) == "test"
    assert not (sets / "exp/other").exists()


def test_names_stay_if_the_recipe_moves_and_if_its_data_become_a_link(sets):
    assert name_of("exp/e", "b/test", "--claim", cwd=sets) == "test"
    shutil.move(sets / "b", sets / "real")
    (sets / "b").symlink_to("real")
    assert name_of("exp/e", "b/test", cwd=sets) == "test"
    assert name_of("exp/e", "real/test", cwd=sets) == "test"
    shutil.copytree(sets, sets.parent / f"{sets.name}-copy", symlinks=True)
    assert name_of("exp/e", "b/test", cwd=sets.parent / f"{sets.name}-copy") == "test"


def test_when_all_names_are_taken_it_is_said(sets):
    (sets / "exp").mkdir()
    parts = (sets / "a/test").parts[1:]
    for number in range(1, len(parts) + 1):
        (sets / "exp" / f".{'-'.join(parts[-number:])}.data").write_text("elsewhere\n")
    command = [ROOT / "utils" / "set_name", "exp", "a/test"]
    done = subprocess.run(command, cwd=sets, capture_output=True, text=True)
    assert done.returncode == 2 and "choose another folder" in done.stderr
