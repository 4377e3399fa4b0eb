"""The command for GPU machines, in miniature on a CPU."""

import json
import time

import pytest

from benchmarks.gpu.__main__ import PARTS, main
from benchmarks.gpu.budget import Budget, TimeUp

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a run of all parts writes: the JSON, and the tables."""
    out = tmp_path_factory.mktemp("gpu") / "table"
    assert main(["--miniature", "--device", "cpu", "--out", str(out)]) == 0
    return json.loads(out.with_suffix(".json").read_text()), out.with_suffix(".md").read_text()


def test_every_part_has_results(results):
    found, table = results
    assert found["miniature"] and found["not_run"] == []
    parts = found["results"]
    assert len(parts) == len(PARTS) + 1  # equality has two tables
    for part in parts:
        assert f"## {part}\n" in table
    assert [row["sum_is_right"] for row in parts["processes"]] == [True]


def test_plain_steps_have_the_loss_of_ours(results):
    steps = results[0]["results"]["steps"]
    assert {row["system"] for row in steps} == {"SimCLR", "DINO", "SSPS", "MoCo", "CHNS", "CSC"}
    assert {row["precision"] for row in steps} == {"float32", "bf16"}
    for row in steps:
        assert row["ratio_min"] <= row["ratio_to_plain"] <= row["ratio_max"]
        if row["system"] == "SSPS":
            assert row["loss_difference"] is None
        else:
            assert row["loss_difference"] < (1e-5 if row["precision"] == "float32" else 0.02)


def test_the_device_computes_what_the_processor_computes(results):
    for row in results[0]["results"]["equality with the CPU"]:
        assert row["loss_difference"] < 1e-6 and row["gradient_difference"] < 1e-5
    assert results[0]["results"]["equality of k-means"][0]["same_cluster"] == 1


def test_a_part_that_takes_too_long_is_ended():
    budget = Budget(0.1)
    with pytest.raises(TimeUp), budget.part(1, of=2):
        time.sleep(5)
    assert -0.5 < budget.left <= 0 < budget.end - time.monotonic() + 5
