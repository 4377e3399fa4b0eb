"""Killed at random moments and started again, every method ends with the same bits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

KILL_TEST = Path(__file__).resolve().with_name("kill_test.py")


def results(*words):
    """Run kill_test for all its cases in one process: loading PyTorch is most of the time."""
    command = [sys.executable, KILL_TEST, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["case"]: row for row in map(json.loads, done.stdout.splitlines())}


def cases():
    from sv.methods import METHODS

    return {*METHODS, "ssps", "ssps_dino", "chns", "chns_aam"}


def test_a_few_kills_of_every_method():
    found = results("--kills", 2, "--epochs", 3, "--damage", 0.5)
    assert set(found) == cases()
    assert all(row["different"] == [] for row in found.values())
    assert sum(row["kills"] for row in found.values()) >= len(found)


@pytest.mark.thorough
def test_a_few_kills_of_two_processes():
    """Of one of them, which the other must notice, or of both; whatever they remember."""
    names = ("ssps_dino", "chns", "csc")
    found = results("--processes", 2, "--kills", 2, "--epochs", 5, "--case", *names)
    assert set(found) == set(names)
    assert all(row["different"] == [] for row in found.values())
    assert sum(row["kills"] for row in found.values()) >= len(found)
    assert sum(row["of_one"] for row in found.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("sync", ["true", "false"])
def test_twenty_kills_of_two_processes_for_every_method(sync):
    norms = f"train.sync_batch_norm={sync}"
    found = results("--processes", 2, "--kills", 20, "--damage", 0.2, "--set", norms)
    assert set(found) == cases()
    assert all(row["different"] == [] for row in found.values())
    assert all(row["kills"] >= 5 for row in found.values())  # some moments are after the end


@pytest.mark.slow
@pytest.mark.parametrize("damage", [0, 0.5])
def test_twenty_kills_of_every_method(damage):
    found = results("--kills", 20, "--damage", damage)
    assert all(row["different"] == [] and row["kills"] == 20 for row in found.values())


def test_it_can_fail():
    """A training whose steps depend on the process that runs them is found out."""
    command = [sys.executable, "-c", CHEAT, str(KILL_TEST)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "model" in json.loads(done.stdout)["different"]


CHEAT = """
import os, runpy, sys
script = sys.argv[1]
sys.argv = [script, "--case", "simclr", "--kills", "1", "--epochs", "2"]
os.environ["OMP_NUM_THREADS"] = "1"
import torch
from sv.methods.simclr import SimCLR
step = SimCLR.training_step
def depends(self, views):
    views.crops["views"] = views.crops["views"] + os.getpid() * 1e-6
    return step(self, views)
SimCLR.training_step = depends
sys.exit(runpy.run_path(script, run_name="kill_test")["main"]())
"""
