"""The benchmark harness: pairing, ratios, discovery, and one benchmark run quickly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # benchmarks/ is not installed

from benchmarks.harness import compare

pytestmark = pytest.mark.whole


class Clock:
    """Time that passes only when a contestant says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def worker(self, name, seconds):
        def work():
            self.calls.append(name)
            self.now += seconds() if callable(seconds) else seconds

        return work


def test_ratios_are_speeds_relative_to_the_base():
    clock = Clock()
    contestants = {"peer": clock.worker("peer", 3.0), "ours": clock.worker("ours", 1.5)}
    table = compare("t", contestants, base="peer", items=6, unit="utt", rounds=3, clock=clock)
    assert table.ratio("ours") == 2.0 and table.ratio("peer") == 1.0
    assert table.as_dict()["rows"][1]["items_per_second"] == 4.0
    assert "4.0" in str(table) and "2.00" in str(table)


def test_rounds_are_paired_and_the_order_turns():
    clock = Clock()
    slowdown = iter([1, 1, 1, 1, 100, 100, 1, 1])  # the machine is busy in the second round
    contestants = {
        "a": clock.worker("a", lambda: 2.0 * next(slowdown)),
        "b": clock.worker("b", lambda: 1.0 * next(slowdown)),
    }
    table = compare("t", contestants, base="a", items=1, unit="x", rounds=3, warmup=1, clock=clock)
    assert clock.calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert table.rows[1].ratios == [2.0, 2.0, 2.0]
    assert table.rows[1].seconds == [1.0, 100.0, 1.0]


def test_unknown_base():
    with pytest.raises(ValueError, match="base 'x'"):
        compare("t", {"a": int}, base="x", items=1, unit="x")


def run(root, *arguments):
    command = [sys.executable, "-m", "benchmarks.run", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_list_finds_the_modules(root):
    done = run(root, "--list")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"ark_windows", "training_index"} <= set(names)
    assert "harness" not in names and "run" not in names


def test_unknown_name(root):
    done = run(root, "nothing")
    assert done.returncode != 0
    assert "no benchmark named 'nothing'; there are: ark_windows" in done.stderr


def test_quick_run_writes_json(root, tmp_path):
    done = run(root, "ark_windows", "--quick", "--json", str(tmp_path / "speeds.json"))
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "speeds.json").read_text())["results"]["ark_windows"]
    assert [table["title"].split(",")[0] for table in tables] == ["FM", "CM2", "CM3", "CM"]
    for table in tables:
        ours = next(row for row in table["rows"] if row["name"] == "ours")
        assert ours["ratio"] > 0 and table["title"] in done.stdout


def test_million_utterances_in_miniature(root, tmp_path):
    from benchmarks.training_index import make_data_directory, measure

    make_data_directory(tmp_path, 1200, shuffled=True)
    figures = measure(tmp_path)
    assert figures["utterances"] == 1200
    assert figures["import_mb"] <= figures["peak_mb"]
