"""path.sh, utils/check_env and utils/make_env: which Python runs, and how it is made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SETUP = """from setuptools import setup
setup(
    python_requires=">=3.8",
    install_requires=[{}],
    extras_require={{"mini": [], "onnx": [], "dev": []}},
)
"""

# A Python of a virtual environment that only records what it is asked to do.
STUB = """#!/usr/bin/env bash
case "$*" in
  *check_env*) echo "$0" ;;
  "-m pip --version") ;;
  "-m pip install"*) echo install >> "{log}"; sleep {seconds}; exit {status} ;;
esac
"""


def check_env(tmp_path, requirement):
    (tmp_path / "setup.py").write_text(SETUP.format(repr(requirement)))
    command = [sys.executable, ROOT / "utils" / "check_env", "--setup", tmp_path / "setup.py"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("condition", ["", ">=1", "<999", "!=0.1", ">=1,<999", "!=0.1.*", ">0.9"])
def test_met_requirements_print_the_interpreter(tmp_path, condition):
    done = check_env(tmp_path, f"pytest{condition}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{sys.executable}\n"


@pytest.mark.parametrize("condition", ["==0.1", "==0.*", "<1", ">=999", ">=1,<2", "<=0.9"])
def test_a_wrong_version_is_named(tmp_path, condition):
    done = check_env(tmp_path, f"pytest{condition}")
    assert done.returncode == 1
    assert f"pytest{condition} is needed, {pytest.__version__} is installed" in done.stderr


def test_an_absent_package_is_named(tmp_path):
    done = check_env(tmp_path, "no-such-package>=1")
    assert done.returncode == 1
    assert "no-such-package>=1 is not installed" in done.stderr
    assert done.stdout == ""


def test_the_requirements_of_the_toolkit_can_be_read():
    command = [sys.executable, ROOT / "utils" / "check_env", "--extras", "mini,dev"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "torch" in done.stderr or done.returncode == 0


@pytest.fixture
def repository(tmp_path):
    """A copy of the environment's scripts in a folder with blanks; `stub(...)` fakes a .venv."""
    root = tmp_path / "a clone"
    (root / "utils").mkdir(parents=True)
    for name in ("path.sh", "utils/check_env", "utils/make_env", "utils/python"):
        shutil.copy(ROOT / name, root / name)
    (root / "setup.py").write_text(SETUP.format("'no-such-package'"))

    def stub(seconds=0, status=0):
        python = root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(STUB.format(log=root / "log", seconds=seconds, status=status))
        python.chmod(0o755)
        return root

    return stub


def make_env(root, **options):
    command = [sys.executable, root / "utils" / "make_env", root]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def installs(root):
    log = root / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_an_interrupted_installation_is_finished_once(repository):
    root = repository()
    for _ in range(2):
        process = make_env(root)
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 0, stderr
        assert stdout == f"{root}/.venv/bin/python\n"
    assert installs(root) == 1


def test_two_runs_at_once_install_once(repository):
    root = repository(seconds=1)
    processes = [make_env(root), make_env(root)]
    messages = "".join(process.communicate(timeout=30)[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert "waiting for it" in messages
    assert installs(root) == 1


def test_a_failed_installation_is_tried_again(repository):
    root = repository(status=1)
    process = make_env(root)
    assert "pip failed" in process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert make_env(repository(status=0)).wait(timeout=30) == 0
    assert installs(root) == 2


def test_a_broken_environment_is_made_anew(repository, tmp_path):
    root = repository()
    (root / ".venv/bin/python").write_text("#!/no/such/interpreter\n")
    (root / ".venv/leftover").touch()
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    process = make_env(root, env=environment)
    _, stderr = process.communicate(timeout=120)
    assert "making" in stderr
    assert not (root / ".venv/leftover").exists()
    assert subprocess.run([root / ".venv/bin/python", "-c", ""]).returncode == 0


def source(root, script, **variables):
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SV_")} | variables
    return subprocess.run(
        ["bash", "-c", f'set -euo pipefail; . "$0/path.sh"; {script}', root],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_path_sh_takes_the_active_python_if_it_has_all(repository):
    root = repository()
    (root / "setup.py").write_text(SETUP.format("'pytest'"))
    done = source(root, 'echo "$SV_ROOT"; python -c "import sys; print(sys.prefix)"')
    assert done.stdout.splitlines() == [str(root), sys.prefix], done.stderr
    assert installs(root) == 0


def test_path_sh_uses_venv_otherwise(repository):
    root = repository()
    done = source(root, 'echo "$SV_INTERPRETER"; command -v python')
    assert done.stdout.splitlines() == [f"{root}/.venv/bin/python", f"{root}/utils/python"]
    assert installs(root) == 1


def test_path_sh_is_not_run_to_the_end_without_an_interpreter(repository):
    root = repository(status=1)
    done = source(root, "echo went on")
    assert done.returncode != 0
    assert "went on" not in done.stdout


def test_a_forced_python_must_have_the_packages(repository):
    root = repository()
    done = source(root, "echo went on", SV_PYTHON=sys.executable)
    assert done.returncode != 0
    assert "no-such-package is not installed" in done.stderr
    assert "went on" not in done.stdout
    assert installs(root) == 0


def test_sourcing_twice_changes_nothing(repository):
    root = repository()
    (root / "setup.py").write_text(SETUP.format("'pytest'"))
    show = 'echo "$PATH|$PYTHONPATH|$SV_INTERPRETER"'
    first, second = source(root, f'{show}; . "$0/path.sh"; {show}').stdout.splitlines()
    assert first == second


def test_settings_of_the_user_stay(repository):
    root = repository()
    (root / "setup.py").write_text(SETUP.format("'pytest'"))
    show = 'echo "$OMP_NUM_THREADS $MALLOC_TOP_PAD_ $MALLOC_TRIM_THRESHOLD_ $LC_ALL"'
    environment = {"OMP_NUM_THREADS": "7", "MALLOC_TOP_PAD_": "1"}
    assert source(root, show, **environment).stdout == "7 1 8589934592 C\n"


@pytest.mark.parametrize(("number", "seen"), [("", ["none", "1"]), ("7", ["7", "7"])])
def test_programs_have_one_thread_and_launch_sees_only_the_users_number(repository, number, seen):
    root = repository()
    (root / "setup.py").write_text(SETUP.format("'pytest'"))
    show = "python -c \"import os; print(os.environ['OMP_NUM_THREADS'])\""
    done = source(root, f'echo "${{OMP_NUM_THREADS:-none}}"; {show}', OMP_NUM_THREADS=number)
    assert done.stdout.split() == seen
