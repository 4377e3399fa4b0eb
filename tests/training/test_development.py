"""The error rate of a development set in the log of a training, which stays the same to the bit."""

import json

import pytest
from tiny_training import TINY, log, run, same, state

from sv.bin import hold_out
from sv.data.trials import Trials
from sv.errors import InputError
from sv.report.card import System, checks


@pytest.fixture(scope="module")
def held(write_features, tmp_path_factory):
    """A folder of ``sv.bin.hold_out``: 4 of 12 speakers, whose utterances are alike."""
    root = tmp_path_factory.mktemp("dev")
    data = write_features(root / "train", [50] * 48)
    ids = [f"utt{n:03d}" for n in range(48)]
    for name in ("wav.scp", "utt2spk"):
        (data / name).write_text("".join(f"{one} {one}\n" for one in ids))
    (root / "utt2spk").write_text("".join(f"{one} s{n // 4}\n" for n, one in enumerate(ids)))
    words = ["--data", str(data), "--utt2spk", str(root / "utt2spk"), "--speakers", "4"]
    hold_out.main([*words, "--out", str(root / "dev4")])
    return root / "dev4"


SETTINGS = [*TINY, "train.epochs=3", "train.dev_every=2"]


def test_the_log_has_the_error_rate_and_the_weights_do_not_know_it(held, tmp_path):
    watched = run(held / "train", tmp_path / "a", SETTINGS, dev=held)
    alone = run(held / "train", tmp_path / "b", SETTINGS)
    assert same(state(watched), state(alone))
    rows = log(watched)
    assert ["dev_eer" in row for row in rows] == [False, True, True]  # every 2, and at the end
    assert all(0 <= row["dev_eer"] <= 1 for row in rows[1:])
    assert not any("dev_eer" in row for row in log(alone))
    facts = json.loads((watched / "train.json").read_text())
    assert (facts["dev_labels"], facts["dev_speakers"]) == ("speakers", 4)
    other = json.loads((alone / "train.json").read_text())
    assert facts["config_hash"] == other["config_hash"] and "dev_labels" not in other


def test_dev_every_may_change_while_a_training_is_interrupted_and_0_is_never(held, tmp_path):
    out = run(held / "train", tmp_path / "a", [*SETTINGS, "train.stop=1"], dev=held)
    run(held / "train", out, [*TINY, "train.epochs=3", "train.dev_every=0"], dev=held)
    assert ["dev_eer" in row for row in log(out)] == [True, False, False]


def test_a_report_marks_true_speakers_of_a_development_set(tmp_path):
    trials = Trials.of("t", [(1, "a", "b"), (0, "a", "c")])
    for labels, state_ in (("speakers", "warning"), ("clusters", "fine")):
        (tmp_path / "train.json").write_text(json.dumps({"dev_labels": labels, "dev_speakers": 20}))
        system = System("x", tmp_path / "scores/test", tmp_path)
        found = [c for c in checks([system], trials, None) if c.what == "Labels in development"]
        assert [check.state for check in found] == [state_]


def test_a_folder_without_a_development_set_is_refused(held, tmp_path):
    with pytest.raises(InputError, match="holds no development set"):
        run(held / "train", tmp_path / "a", SETTINGS, dev=tmp_path)
