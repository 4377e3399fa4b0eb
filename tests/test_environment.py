"""path.sh, utils/check_env and utils/make_env: which Python runs, and how it is made."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

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
  "-m pip install"*) echo "$*" >> "{log}"; sleep {seconds}; exit {status} ;;
esac
"""


def check_env(tmp_path, *requirements):
    (tmp_path / "setup.py").write_text(SETUP.format(", ".join(map(repr, requirements))))
    command = [sys.executable, ROOT / "utils" / "check_env", "--setup", tmp_path / "setup.py"]
    command += ["--cache", tmp_path / "imports"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def put_package(folder, name, version, code):
    """Write a package of one module, as an installation leaves it."""
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir(exist_ok=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n")
    with (information / "METADATA").open("a") as file:
        file.write(f"Version: {version}\n")
    (information / "RECORD").write_text(f"{name}.py,,\n")
    (folder / f"{name}.py").write_text(code)


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


def test_a_package_that_cannot_be_imported_is_named(tmp_path):
    put_package(tmp_path, "halfmade", "1.5", "import no_such_module_at_all\n")
    done = check_env(tmp_path, "halfmade>=1")
    assert done.returncode == 1
    assert "halfmade 1.5 is installed, but cannot be imported" in done.stderr
    assert "no_such_module_at_all" in done.stderr
    assert "install --force-reinstall halfmade==1.5" in done.stderr


def test_a_package_that_ends_the_interpreter_is_named(tmp_path):
    put_package(tmp_path, "good", "1.0", "")
    put_package(tmp_path, "killer", "1.0", "import os; os._exit(9)\n")
    done = check_env(tmp_path, "good", "killer")
    assert done.returncode == 1
    assert "killer 1.0 is installed, but cannot be imported" in done.stderr
    assert "good" not in done.stderr


def test_a_torchaudio_that_does_not_fit_torch_is_named_as_a_pair(tmp_path):
    put_package(tmp_path, "torch", "2.11.0", "")
    put_package(tmp_path, "torchaudio", "2.11.1", "raise OSError('undefined symbol: torch_x')\n")
    done = check_env(tmp_path, "torch", "torchaudio")
    assert done.returncode == 1
    assert "torchaudio 2.11.1 does not fit torch 2.11.0" in done.stderr
    assert "undefined symbol: torch_x" in done.stderr
    assert re.search(r"pip install torch==2[\d.]+ torchaudio==2[\d.]+$", done.stderr.strip())


def test_beside_a_torch_for_processors_the_remedy_is_to_do_without_torchaudio(tmp_path):
    put_package(tmp_path, "torch", "2.14.1+cpu", "")
    put_package(tmp_path, "torchaudio", "2.11.1", "raise OSError('libcudart is missing')\n")
    assert "pip uninstall -y torchaudio" in check_env(tmp_path, "torch", "torchaudio").stderr


def test_only_torchaudio_may_be_absent(monkeypatch):
    find = runpy.run_path(str(ROOT / "utils" / "check_env"))["find"]

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    setup = {"install_requires": ["torch>=2", "torchaudio>=2"], "extras_require": {}}
    assert find(setup, []) == ({}, ["torch>=2 is not installed"])


def test_packages_are_imported_once_until_one_changes(tmp_path):
    log = tmp_path / "log"
    code = f"open({str(log)!r}, 'a').write('imported\\n')\n"
    put_package(tmp_path, "costly", "1.0", code)
    for _ in range(2):
        assert check_env(tmp_path, "costly").returncode == 0
    assert log.read_text() == "imported\n"
    put_package(tmp_path, "costly", "1.0", "raise ImportError('cut off')\n")
    done = check_env(tmp_path, "costly")
    assert done.returncode == 1
    assert "cut off" in done.stderr


@pytest.mark.whole
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


@pytest.mark.whole
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


def test_a_new_lock_is_installed(repository):
    root = repository()
    (root / "utils/lock.txt").write_text("torch==1\n")
    assert make_env(root).wait(timeout=30) == 0
    assert make_env(root).wait(timeout=30) == 0
    assert installs(root) == 1
    (root / "utils/lock.txt").write_text("torch==2\n")
    assert make_env(root).wait(timeout=30) == 0
    assert installs(root) == 2
    assert f"-c {root}/utils/lock.txt" in (root / "log").read_text()


def test_torch_can_come_from_another_index(repository):
    root = repository()
    environment = {**os.environ, "SV_TORCH_INDEX": "https://example.org/cpu"}
    assert make_env(root, env=environment).wait(timeout=30) == 0
    lines = (root / "log").read_text().splitlines()
    assert ["-i https://example.org/cpu" in line for line in lines] == [True, True, False]
    assert lines[0].endswith(" torch") and lines[1].endswith(" torchaudio")


def test_the_lock_has_a_version_of_all_that_setup_asks_for():
    command = [sys.executable, ROOT / "utils" / "make_lock", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout


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
