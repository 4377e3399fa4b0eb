"""The bench: its tables of systems name what exists, its options work, and it is short."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sv.training.experiment import Experiment

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "egs" / "bench"
CLAIMS = sorted((BENCH / "claims").iterdir())
FURTHER = {"baseline", "ssps", "speakers"}


def lines_of(claim):
    rows = (line.split() for line in claim.read_text().splitlines())
    return [row for row in rows if row and not row[0].startswith("#")]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda path: path.name)
def test_systems_have_settings_that_exist(claim):
    names = [system for system, *_ in lines_of(claim)]
    assert len(set(names)) == len(names) and (claim.name == "reference") == ("base" in names)
    for _, how, *settings in lines_of(claim):
        assert how in FURTHER or (BENCH / "conf" / f"{how}.yaml").exists()
        more = ["ssps.enabled=true"] if how == "ssps" else []
        file = "simclr" if how in FURTHER else how
        Experiment.load(BENCH / "conf" / f"{file}.yaml", [*settings, *more])


def test_the_page_names_every_claim_and_the_default_is_large_enough():
    page = (ROOT / "docs" / "bench.md").read_text()
    assert all(f"`{claim.name}`" in page for claim in CLAIMS if claim.name != "reference")
    text = (BENCH / "run.sh").read_text()
    size = {name: int(value) for name, value in re.findall(r"^(\w+)=(\d+) ", text, re.M)}
    each = size["sessions"] * size["utterances"]
    targets = size["test_speakers"] * (each * (each - size["utterances"])) // 2
    assert 2 * targets >= 20_000 and size["test_speakers"] >= 200 and size["speakers"] >= 600
    assert len(text.splitlines()) <= 60


def run(*words, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [str(BENCH / "run.sh"), *words]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_a_claim_that_is_not_there_is_named_with_those_that_are(tmp_path):
    done = run("--claim", "nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert "no claims/nothing" in done.stderr and "margins" in done.stderr
    assert run("--help", cwd=tmp_path).returncode == 0


@pytest.mark.whole
def test_the_systems_of_a_claim_are_trained_in_their_ways(tmp_path):
    """Stage scripts only record their calls here; a corpus of two speakers stands for all."""
    calls = tmp_path / "calls"
    programs = tmp_path / "bin"
    programs.mkdir()
    names = ("train.sh", "train_further.sh", "average.sh", "embed_systems.sh", "score.sh")
    for name in names:
        (programs / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "{calls}"\n')
        (programs / name).chmod(0o755)
    copy = tmp_path / "toolkit"
    for folder in ("utils", "egs/bench"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("exp", "data"))
    shutil.copytree(programs, copy / "local")
    shutil.copy(ROOT / "path.sh", copy / "path.sh")
    (copy / "sv").symlink_to(ROOT / "sv")
    (copy / "utils" / "check_env").write_text("import sys; print(sys.executable)\n")
    claim = tmp_path / "claim"
    claim.write_text("# mine\nmine simclr method.margin=0.2\ntop aam\non ssps ssps.nearest=2\n")
    subprocess.run(
        [str(copy / "egs/bench/local/train_systems.sh"), "--seed", "7", "--epochs", "5",
         "--set", "train.workers=0", str(claim)],
        cwd=copy / "egs/bench", check=True,
    )  # fmt: skip
    made = calls.read_text().splitlines()
    assert [line.split()[0] for line in made[:4]] == [names[0], *names[2:]]
    assert "train.epochs=5 method.margin=0.2 train.workers=0 data/train banks exp/mine-7" in made[0]
    assert "--labels data/labels/train/utt2spk" in made[4] and "train.epochs=10" in made[4]
    assert "--system ssps --ssps ssps.nearest=2" in made[8] and "exp/base-7" in made[8]
