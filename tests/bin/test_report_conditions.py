"""EER by condition and system: the table, its picture, and reports that do not fit."""

import json

import pytest

from sv.bin import report_conditions as program
from sv.errors import InputError


def report(path, **eers):
    systems = [{"name": name, "eer": eer, "intervals": {}} for name, eer in eers.items()]
    systems[0]["intervals"] = {"eer": [0.05, 0.15]}
    path.write_text(json.dumps({"systems": systems}))
    return path


def test_a_column_for_each_condition_and_the_best_in_bold(tmp_path, capsys):
    clean = report(tmp_path / "c.json", csc=0.10, simclr=0.08)
    noisy = report(tmp_path / "n.json", csc=0.20, simclr=0.30)
    words = ["--reports", f"clean={clean}", f"0 dB={noisy}", "--out", str(tmp_path / "by")]
    program.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["EER", "%", "clean", "0", "dB"]
    assert lines[1].split() == [
        "csc",
        "10.00",
        "[5.00,",
        "15.00]",
        "20.00",
        "[5.00,",
        "15.00]",
        "*",
    ]
    text = (tmp_path / "by.md").read_text()
    assert "| simclr | **8.00** | 30.00 |" in text
    assert (tmp_path / "by.png").read_bytes().startswith(b"\x89PNG")


def test_reports_that_do_not_fit_are_named(tmp_path):
    one, other = report(tmp_path / "a.json", a=0.1), report(tmp_path / "b.json", b=0.1)
    out = ["--out", str(tmp_path / "by")]
    with pytest.raises(InputError, match="has other systems than clean"):
        program.main(["--reports", f"clean={one}", f"noisy={other}", *out])
    with pytest.raises(InputError, match="write it as CONDITION=FILE"):
        program.main(["--reports", "one", *out])
    with pytest.raises(InputError, match="run stage 8: ./run.sh --stage 8 --stop-stage 8"):
        program.main(["--reports", f"clean={tmp_path / 'none.json'}", *out])
    one.write_text("{}")
    with pytest.raises(InputError, match="is not a report.json"):
        program.main(["--reports", f"clean={one}", *out])
