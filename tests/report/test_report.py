"""Tables, differences, groups, JSON, the page, and the rows of RESULTS.md."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from sv.data import speaker_groups
from sv.data.trials import Trials
from sv.errors import InputError
from sv.report import facts as report_facts
from sv.report import results_table, tables
from sv.scoring import evaluate, metrics

SPEAKERS = 10


def make(seed=0, count=1500):
    generator = np.random.default_rng(seed)
    enrol, test = generator.integers(0, 4 * SPEAKERS, (2, count)).astype(np.int32)
    labels = enrol % SPEAKERS == test % SPEAKERS
    names = [f"u{i}" for i in range(4 * SPEAKERS)]
    trials = Trials(Path("trials"), names, enrol, test, labels)
    groups = speaker_groups.speaker_groups(trials, {n: str(int(n[1:]) % SPEAKERS) for n in names})
    scores = generator.standard_normal(count)
    return trials, groups, scores + 2.5 * labels, scores + 0.5 * labels


@pytest.fixture(scope="module")
def two():
    trials, groups, good, bad = make()
    utt2group = {f"u{i}": "low" if i % SPEAKERS < 5 else "high" for i in range(4 * SPEAKERS)}
    common = {"groups": groups, "resamples": 100, "utt2group": utt2group, "llr": True}
    return trials, [
        evaluate.evaluate(name, scores, trials, [0.01, 0.05], **common)
        for name, scores in (("good", good), ("bad", bad))
    ]


def test_figures_are_those_of_the_metrics(two):
    trials, results = two
    _, _, good, _ = make()
    assert results[0].eer.value == metrics.eer(good, trials.labels)
    assert results[0].min_dcf[0.05].value == metrics.min_dcf(good, trials.labels, 0.05)
    assert results[0].act_dcf[0.05] == metrics.act_dcf(good, trials.labels, 0.05)
    assert results[0].cllr == metrics.cllr(good, trials.labels)
    assert results[0].min_cllr == metrics.min_cllr(good, trials.labels)
    assert tables.figure_rows(results)[0][-2:] == ["Cllr bits", "minCllr bits"]


def test_table_has_a_column_per_prior_and_intervals(two):
    _, results = two
    rows = tables.figure_rows(results)
    assert rows[0][:4] == ["system", "EER %", "minDCF p=0.01", "minDCF p=0.05"]
    assert [row[0] for row in rows[1:]] == ["good", "bad"]
    low, high = results[0].intervals["eer"]
    expected = f"{100 * results[0].eer.value:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
    assert rows[1][1] == expected
    lines = tables.text_table(rows).splitlines()
    assert len(lines) == 3 and lines[0].index("EER") == lines[2].index(rows[2][1])


def test_differences_are_taken_draw_by_draw(two):
    _, results = two
    (_, row) = tables.difference_rows(results)
    assert row[0] == "bad - good" and row[-1] == "worse"
    (low, high), p_value = evaluate.differences(results[1], results[0])["eer"]
    assert 0 < p_value < 0.05 and row[-2] == f"{p_value:.3f}"
    assert 0 < low <= results[1].eer.value - results[0].eer.value <= high
    same = tables.difference_rows([results[0], results[0]])
    assert same[1][-1] == "tie"
    assert tables.difference_rows(results[:1]) == []
    assert tables.difference_rows(results[::-1])[1][-1] == "better"


def test_without_intervals_there_is_no_verdict():
    """One target and one non-target trial of three speakers: most draws lack one of them."""
    pairs = np.array([[0, 2], [1, 3]], np.int32)
    few = Trials(Path("trials"), list("abcd"), *pairs, np.array([True, False]))
    groups = speaker_groups.Groups(np.array([0, 0, 1, 2]), 3, "speakers")
    results = [
        evaluate.evaluate(name, np.array(scores), few, [0.01], groups=groups, resamples=50)
        for name, scores in (("good", [1.0, 0.0]), ("bad", [0.0, 1.0]))
    ]
    assert tables.difference_rows(results)[1][-1] == "-"


def test_eer_per_group_ignores_trials_across_groups(two):
    trials, results = two
    _, _, good, _ = make()
    low = (trials.enrol % SPEAKERS < 5) & (trials.test % SPEAKERS < 5)
    assert results[0].groups["low"] == metrics.eer(good[low], trials.labels[low])
    assert results[0].group_mean == pytest.approx(np.mean(list(results[0].groups.values())))
    rows = tables.group_rows(results)
    assert [row[0] for row in rows] == ["EER % within", "high", "low", "mean of groups"]


def test_groups_without_a_class_or_a_name_are_left_out():
    trials, _, good, _ = make()
    with pytest.warns(UserWarning, match="1 of 40 utterances have no group"):
        values = evaluate.group_eers(
            good, trials, {f"u{i}": "alone" if i == 1 else "rest" for i in range(1, 40)}
        )
    assert values["alone"] is None and values["rest"] > 0 and set(values) == {"alone", "rest"}


def test_json_is_strict_and_names_the_figures(two):
    _, results = two
    record = json.loads(json.dumps(tables.as_dict(results), allow_nan=False))
    assert record["eer"] == results[0].eer.value
    assert set(record["min_dcf"]) == {"0.01", "0.05"}
    assert [system["name"] for system in record["systems"]] == ["good", "bad"]
    assert record["differences"][0]["minus"] == "good"


@pytest.mark.parametrize("score", [-np.inf, np.inf])
def test_json_of_scores_without_end_has_no_infinity(score):
    trials, _, _, _ = make()
    useless = evaluate.evaluate("x", np.full(len(trials), score), trials, [0.01])
    record = json.loads(json.dumps(tables.as_dict([useless]), allow_nan=False))
    assert record["systems"][0]["eer_threshold"] is None


def test_json_of_a_useless_system_has_no_infinity():
    trials, _, _, _ = make()
    useless = evaluate.evaluate("x", np.zeros(len(trials)), trials, [0.01])
    assert useless.min_dcf[0.01].value == 1.0
    record = json.loads(json.dumps(tables.as_dict([useless]), allow_nan=False))
    assert record["systems"][0]["min_dcf_threshold"] == {"0.01": None}
    assert tables.figure_rows([useless])[1] == ["x", "50.00", "1.0000"]


# ---------------------------------------------------------------- RESULTS.md


@pytest.fixture
def trial_file(tmp_path):
    path = tmp_path / "test" / "trials"
    path.parent.mkdir()
    path.write_text("1 a b\n")
    return path


def test_row_has_a_cell_under_every_column(two, trial_file):
    _, results = two
    facts = dict.fromkeys(report_facts.FACTS, "-") | {"seed": "3", "git_commit": "abc-dirty"}
    header = results_table.columns([0.01, 0.05])
    cells = results_table.row(results[0], trial_file, facts, datetime.date(2024, 5, 6))
    assert len(cells) == len(header)
    named = dict(zip(header, cells, strict=True))
    assert named["date"] == "2024-05-06" and named["system"] == "good"
    assert named["trials (sha256)"].startswith("test/trials (") and named["seed"] == "3"
    assert named["commit"] == "abc-dirty" and "[" in named["EER % [95 %]"]
    assert len([name for name in header if name.startswith("minDCF")]) == 2


def test_rows_gather_in_one_table_and_the_text_around_stays(tmp_path):
    path = tmp_path / "RESULTS.md"
    results_table.append_row(path, ["date", "EER"], ["1", "a|b"])
    assert path.read_text() == "# Results\n\n| date | EER |\n|---|---|\n| 1 | a\\|b |\n"
    path.write_text(path.read_text() + "\nA remark.\n")
    results_table.append_row(path, ["date", "EER"], ["2", "c"])
    lines = path.read_text().splitlines()
    assert lines[4:6] == ["| 1 | a\\|b |", "| 2 | c |"] and lines[-1] == "A remark."
    results_table.append_row(path, ["date", "other prior"], ["3", "d"])
    lines = path.read_text().splitlines()
    assert lines[-4:] == ["", "| date | other prior |", "|---|---|", "| 3 | d |"]
    results_table.append_row(path, ["date", "EER"], ["2", "c"])  # again: not a second time
    results_table.append_row(path, ["date", "EER"], ["4", "e"])
    assert path.read_text().splitlines()[6] == "| 4 | e |"


def test_facts_of_a_training(tmp_path):
    (tmp_path / "train.json").write_text(
        '{"epochs": 30, "seed": 0, "wall_seconds": 7509.2, "config_hash": "abc", "extra": 1}'
    )
    facts = report_facts.training_facts(tmp_path)
    assert set(facts) == set(report_facts.FACTS)
    assert facts["epochs"] == "30" and facts["seed"] == "0" and facts["config_hash"] == "abc"
    assert facts["wall_seconds"] == "2:05:09" and facts["hardware"] == "-"


def test_facts_without_a_summary_or_without_a_training(tmp_path):
    (tmp_path / "config.yaml").write_text("a: 1\n")
    assert len(report_facts.training_facts(tmp_path)["config_hash"]) == 12
    facts = report_facts.training_facts(None)
    assert facts["epochs"] == "-" and facts["git_commit"]


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_damaged_summary_is_refused(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InputError, match="train.json"):
        report_facts.training_facts(tmp_path)


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (309.4, "5:09"), (3599.6, "1:00:00")])
def test_durations(seconds, text):
    assert report_facts.duration(seconds) == text
