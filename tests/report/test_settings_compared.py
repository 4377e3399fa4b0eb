"""`sv table`: rows over seeds, settings that differ, budgets, warnings, and the formats."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from sv.bin import table as program
from sv.errors import InputError
from sv.report.table_formats import as_csv, as_latex, as_markdown, as_text

SPEAKERS, EACH = 12, 3
IDS = [f"s{speaker}-{number}" for speaker in range(SPEAKERS) for number in range(EACH)]
PAIRS = [(a, b) for a in IDS for b in IDS if a < b]
SAME = np.array([a.split("-")[0] == b.split("-")[0] for a, b in PAIRS])


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """A recipe's folder with trials and labels, which is the present folder."""
    (tmp_path / "data" / "test").mkdir(parents=True)
    (tmp_path / "data" / "labels" / "test").mkdir(parents=True)
    (tmp_path / "data" / "test" / "trials").write_text(
        "".join(f"{int(same)} {a} {b}\n" for same, (a, b) in zip(SAME, PAIRS, strict=True))
    )
    (tmp_path / "data" / "labels" / "test" / "utt2spk").write_text(
        "".join(f"{name} {name.split('-')[0]}\n" for name in IDS)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiment(name, noise, seed, settings=None, **facts):
    """Write the scores, the settings and the facts of an experiment in exp/."""
    exp = Path("exp") / name
    (exp / "scores").mkdir(parents=True)
    scores = SAME + noise * np.random.default_rng(seed).standard_normal(len(SAME))
    (exp / "scores" / "test").write_text(
        "".join(f"{a} {b} {s:.6f}\n" for (a, b), s in zip(PAIRS, scores, strict=True))
    )
    if settings is not None:
        train = {"seed": seed, "epochs": 4, "workers": seed}  # readers do not matter
        groups = {"method": {"name": "simclr", **settings}, "train": train}
        (exp / "config.yaml").write_text(yaml.safe_dump(groups))
        known = {"steps_per_epoch": 10, "epochs": 4, "crops_per_step": 64, "seed": seed}
        known |= {"mean_crop_seconds": 2.0, "wall_seconds": 60.0, "git_commit": "abc"}
        (exp / "train.json").write_text(json.dumps(known | facts))
    return exp


def two_settings(**facts):
    for seed in range(3):
        experiment(f"a-{seed}", 0.3, seed, {"margin": 0.1, "symmetric": True})
        experiment(f"b-{seed}", 1.2, seed, {"margin": 0.0, "symmetric": True}, **facts)
    return [f"exp/{name}-{seed}" for name in "ba" for seed in range(3)]


def test_seeds_form_a_row_and_the_best_row_is_first(data, capsys):
    program.main([*two_settings(), "--resamples", "200"])
    header, first, second = capsys.readouterr().out.splitlines()[:3]
    assert re.split(r"  +", header) == [
        *("setting", "method.margin", "seeds", "EER %", "minDCF p=0.01", "minDCF p=0.05"),
        *("EER minus best [95 %]", "p (Holm)", "verdict"),
    ]
    assert first.startswith("a        0.1            0 1 2  ") and " * " in first
    assert second.startswith("b        0.0            0 1 2  ") and " * " not in second
    assert second.endswith("worse") and first.split()[-3:] == ["best", "-", "-"]


def test_equal_settings_are_a_tie_that_other_seeds_explain(data, capsys):
    for seed in range(2):
        experiment(f"a-{seed}", 0.8, seed, {"margin": 0.1})
        experiment(f"b-{seed}", 0.8, 10 + seed, {"margin": 0.0})
    program.main(["exp/a-0", "exp/a-1", "exp/b-0", "exp/b-1", "--resamples", "200"])
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].endswith("tie")
    assert "warning: The rows have different seeds" in printed


def test_unequal_budgets_are_columns_and_a_warning(data, capsys):
    program.main([*two_settings(epochs=8), "--resamples", "0"])
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0].endswith("updates  crops seen  hours of speech seen")
    assert lines[1].split()[-3:] == ["40", "2,560", "1.42"]
    assert lines[2].split()[-3:] == ["80", "5,120", "2.84"]
    assert "warning: The budgets differ (updates: a 40, b 80)" in printed


def test_one_seed_and_a_baseline(data, capsys):
    experiment("a", 0.3, 0, {"margin": 0.1})
    experiment("mean-fbank", 1.0, 5)
    (data / "exp" / "empty").mkdir()
    (data / "exp" / "RESULTS.md").touch()
    paths = [str(path) for path in sorted((data / "exp").iterdir())]
    program.main([*paths, "--resamples", "200"])
    printed, errors = capsys.readouterr()
    assert "warning: One seed only (a)" in printed
    assert printed.splitlines()[2].startswith("mean-fbank  -  ")
    assert "left out, without scores/test: " in errors and "empty" in errors


def test_a_training_of_an_earlier_version_has_its_crops_from_the_log(data, capsys):
    exp = experiment("a", 0.3, 0, {"margin": 0.1})
    facts = json.loads((exp / "train.json").read_text())
    del facts["crops_per_step"], facts["mean_crop_seconds"]
    (exp / "train.json").write_text(json.dumps(facts))
    (exp / "train.jsonl").write_text('{"epoch": 1, "crops_per_second": 320, "seconds": 2.0}\n')
    experiment("b", 0.3, 1, {"margin": 0.2}, steps_per_epoch=20)
    program.main(["exp/a", "exp/b", "--resamples", "0", "--format", "csv"])
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert [row[rows[0].index("crops seen")] for row in rows[1:]] == ["5,120", "2,560"]


def test_what_cannot_be_compared_is_refused(data):
    experiment("a", 0.3, 0, {"margin": 0.1})
    experiment("b", 0.3, 0, {"margin": 0.1})
    with pytest.raises(InputError, match="the same settings and the same seed, 0"):
        program.main(["exp/a", "exp/b"])
    with pytest.raises(InputError, match="./run.sh --stage 6 --stop-stage 7"):
        program.main(["exp/a", "--name", "other"])
    with pytest.raises(InputError, match="the ending must be one of .txt, .md"):
        program.main(["exp/a", "--resamples", "0", "--out", "t.docx"])


def test_all_files_are_written_and_the_page_holds_runs_and_settings(data, capsys):
    files = [f"out/t{ending}" for ending in (".txt", ".md", ".tex", ".csv", ".html")]
    program.main([*two_settings(), "--resamples", "200", "--out", *files, "--title", "Margins"])
    assert "| **" not in capsys.readouterr().out
    page = (data / "out" / "t.html").read_text()
    assert "<h1>Margins</h1>" in page and "method.margin" in page
    assert "Worse by more than chance: b." in page and page.count("<svg") == 1
    assert '<td class="number best">' in page and "symmetric: true" in page
    assert "margin" not in page.partition("where they agree")[2]
    assert "p is corrected" in (data / "out" / "t.md").read_text()


def test_formats_escape_and_mark_the_best():
    cells, bold = [["setting_a", "EER %"], ["a|b", "1.00 ± 0.10"], ["c & d", "2.00"]], {(1, 1)}
    assert as_text(cells, bold).splitlines()[1] == "a|b        1.00 ± 0.10 *"
    assert as_markdown(cells, bold).splitlines()[2] == "| a\\|b | **1.00 ± 0.10** |"
    latex = as_latex(cells, bold)
    assert r"setting\_a & EER \%" in latex and r"c \& d & 2.00 \\" in latex
    assert r"\textbf{1.00 $\pm$ 0.10}" in latex
    assert list(csv.reader(as_csv(cells, bold).splitlines())) == cells
