"""The table of many methods: its order, its figures, and the reports that it refuses."""

import json

import pytest

from sv.bin import compare
from sv.errors import InputError
from sv.report.comparison import comparison_rows


def experiment(folder, eer, trials="abc", seconds=(2.0, 9.0, 2.0), steps=4):
    """Make the files of an experiment that the table reads."""
    (folder / "report").mkdir(parents=True)
    system = {"eer": eer, "min_dcf": {"0.01": 0.5}, "intervals": {"eer": [eer - 0.01, eer + 0.01]}}
    report = {"systems": [system], "trials": {"sha256": trials}}
    (folder / "report" / "report.json").write_text(json.dumps(report))
    facts = {"method": folder.name, "seed": 3, "peak_memory_mib": 700}
    if steps:
        facts["steps_per_epoch"] = steps
    (folder / "train.json").write_text(json.dumps(facts))
    rows = "".join(json.dumps({"seconds": value}) + "\n" for value in seconds)
    (folder / "train.jsonl").write_text(rows)
    return folder


def test_the_best_method_comes_first_and_a_slow_epoch_does_not_count(tmp_path, capsys):
    worse, better = experiment(tmp_path / "dino", 0.2), experiment(tmp_path / "simclr", 0.1)
    compare.main(["--out", str(tmp_path / "t.md"), "--exp", str(worse), str(better)])
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert lines[2] == "| simclr | 3 | 10.00 [9.00, 11.00] | 0.5000 | 12 | 0.500 | 700 |"
    assert lines[3].startswith("| dino |")
    assert capsys.readouterr().out.splitlines() == lines


def test_a_training_of_an_earlier_version_has_no_price(tmp_path):
    rows = comparison_rows([experiment(tmp_path / "old", 0.2, steps=None)])
    assert rows[1][-3:] == ["-", "-", "-"]


def test_reports_of_two_lists_or_none_are_refused(tmp_path):
    one, other = experiment(tmp_path / "a", 0.1), experiment(tmp_path / "b", 0.1, trials="def")
    with pytest.raises(InputError, match="2 trial lists"):
        comparison_rows([one, other])
    (one / "report" / "report.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        comparison_rows([one])
    (one / "report" / "report.json").unlink()
    with pytest.raises(InputError, match="run stages 6 to 8"):
        comparison_rows([one])
