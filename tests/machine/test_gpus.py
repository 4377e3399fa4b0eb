"""A GPU that torch does not see: why, what to do, and that nobody trains on without it."""

import subprocess

import pytest
import torch

from sv import device, distributed
from sv.errors import InputError
from sv.machine import gpus
from sv.machine.gpus import Build, Machine, why_none

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023"
PYPI, CPU = Build("2.14.1+cu130", "13.0"), Build("2.14.1+cpu", "")
OLD, NEW = Machine(True, "535.104.05"), Machine(True, "580.65.06")


@pytest.fixture
def machine(tmp_path):
    """A function that looks at made-up files; ``smi``: what the program does."""

    def look(driver=None, device=False, smi=None):
        files = {"driver": tmp_path / "version", "device": tmp_path / "nvidia0"}
        if driver is not None:
            files["driver"].write_text(f"{driver}\nGCC version:  gcc version 12.2.0\n")
        if device:
            files["device"].touch()
        program = tmp_path / "nvidia-smi"
        if smi is not None:
            program.write_text(f"#!/bin/sh\n{smi}\n")
            program.chmod(0o755)
        return Machine.look(**files, program=str(program))

    return look


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        ({}, Machine(False)),
        ({"driver": CLOSED}, Machine(True, "535.104.05")),
        ({"driver": OPEN, "device": True}, Machine(True, "580.65.06")),
        ({"device": True}, Machine(True)),
        ({"smi": "echo 470.223.02; echo 470.223.02"}, Machine(True, "470.223.02")),
        ({"smi": "echo NVIDIA-SMI has failed; exit 9"}, Machine(False)),
        ({"device": True, "smi": "exit 9"}, Machine(True)),
        ({"driver": "unreadable", "smi": "echo 550.54.14"}, Machine(True, "550.54.14")),
    ],
)
def test_what_a_machine_says_of_its_gpus(machine, signs, found):
    assert machine(**signs) == found


@pytest.mark.parametrize(
    ("lines", "build"),
    [
        ("__version__ = '2.11.0'\ncuda: Optional[str] = '13.0'\n", Build("2.11.0", "13.0")),
        ("__version__ = '2.11.0+cpu'\ncuda: Optional[str] = None\n", Build("2.11.0+cpu", "")),
        ("__version__ = '2.11.0'\ncuda = None\nhip: x = '6.3'\n", Build("2.11.0", "", True)),
    ],
)
def test_of_which_build_torch_is(tmp_path, lines, build):
    (tmp_path / "version.py").write_text(lines)
    assert Build.installed(tmp_path) == build
    assert Build.installed(tmp_path / "none") is None


def test_the_installed_build_is_what_torch_says():
    assert Build.installed() == Build(torch.__version__, torch.version.cuda or "")


def test_an_old_driver_is_named_with_both_remedies():
    told = why_none(OLD, PYPI)
    assert "driver 535.104.05" in told and "CUDA 13.0, which needs driver 580" in told
    assert "--index-url https://download.pytorch.org/whl/cu126" in told
    too_old = why_none(Machine(True, "470.223.02"), PYPI)
    assert "install a driver from 580 on" in too_old and "--index-url" not in too_old


@pytest.mark.parametrize(
    ("where", "build", "hidden", "words"),
    [
        (OLD, CPU, None, "built for processors alone"),
        (NEW, PYPI, "", "CUDA_VISIBLE_DEVICES is ''"),
        (NEW, PYPI, "-1", "CUDA_VISIBLE_DEVICES is '-1'"),
        (NEW, PYPI, None, "does the container have it"),
        (Machine(True), PYPI, None, "driver of unknown version"),
        (Machine(False), PYPI, None, "there is no NVIDIA driver"),
        (OLD, Build("2.11.0", "", True), None, "other GPUs than NVIDIA's"),
        (OLD, None, None, "torch sees no GPU here"),
    ],
)
def test_other_reasons(where, build, hidden, words):
    assert words in why_none(where, build, hidden)


@pytest.fixture
def no_gpu(monkeypatch):
    """A function that makes torch see no GPU on a machine of this driver."""

    def pretend(where=OLD, build=PYPI):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        monkeypatch.setattr(Machine, "look", classmethod(lambda cls: where))
        monkeypatch.setattr(Build, "installed", classmethod(lambda cls: build))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        device.tell_of_unseen_gpus.cache_clear()

    yield pretend
    device.tell_of_unseen_gpus.cache_clear()


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_asked_for_and_not_seen_is_refused_with_the_reason(no_gpu, name):
    no_gpu()
    with pytest.raises(InputError, match="driver 535.104.05.*whl/cu126.*--device cpu"):
        device.choose_device(name)
    no_gpu(Machine(False))
    with pytest.raises(InputError, match="there is no NVIDIA driver"):
        device.choose_device(name)


def test_several_processes_that_were_given_gpus_are_refused(no_gpu, monkeypatch):
    no_gpu()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(InputError, match="driver 535.104.05"):
        distributed.start("cuda", 5)


def test_a_gpu_that_is_there_and_not_seen_is_told_once(no_gpu, capsys):
    no_gpu()
    assert {str(device.choose_device("auto")) for _ in range(3)} == {"cpu"}
    told = capsys.readouterr().err
    assert told.count("driver 535.104.05") == 1 and "whl/cu126" in told


@pytest.mark.parametrize("hidden", [None, "", "-1"])
def test_nothing_is_told_if_there_is_no_gpu_or_somebody_has_hidden_it(
    no_gpu, capsys, monkeypatch, hidden
):
    no_gpu(Machine(False) if hidden is None else OLD)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert str(device.choose_device("auto")) == "cpu"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ngpu=0 nnodes=1 processes=", "python -m sv.bin.train"),
        ("ngpu=1 nnodes=1 processes=", "python -m sv.bin.train --device cuda"),
        ("ngpu=4 nnodes=1 processes=", "processes 4 -m sv.bin.train --device cuda"),
        ("ngpu=0 nnodes=1 processes=2", "processes 2 -m sv.bin.train"),
        ("ngpu=2 nnodes=3 processes=", " 2 -m sv.bin.train --device cuda"),
        ("ngpu=0 nnodes=3 processes=", " 1 -m sv.bin.train"),
    ],
)
def test_a_stage_that_asks_for_gpus_insists_on_them(root, tmp_path, options, words):
    code = f"set -euo pipefail; launch=(); {options}; . {root}/utils/in_processes.sh; "
    code += f'in_processes sv.bin.train {tmp_path} train; printf "%s\\n" "${{job[*]}}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith(words)


def test_the_front_door_looks_without_loading_torch(root):
    """`utils/check_gpu` is run by every recipe, so it costs nothing where there is no GPU."""
    if gpus.Machine.look().present:
        pytest.skip("this machine has a GPU")
    code = "import runpy, sys; runpy.run_path(sys.argv.pop(), run_name='__main__'); "
    code += "sys.exit('torch' in sys.modules)"
    words = ["python3", "-c", code, root / "utils" / "check_gpu"]
    assert subprocess.run(words, timeout=60).returncode == 0
