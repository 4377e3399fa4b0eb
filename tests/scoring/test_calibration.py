"""Calibration and fusion against scikit-learn, closed forms and known truths."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from sv.bin import calibrate
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.scoring import metrics
from sv.scoring.calibration import Calibration, probability
from sv.scoring.fusion import gather, quality_columns, read_quality
from sv.scoring.score_file import read_info


def make(count=2000, systems=2, seed=0, share=0.1):
    generator = np.random.default_rng(seed)
    labels = generator.random(count) < share
    labels[:2] = True, False
    columns = generator.standard_normal((count, systems)) * 0.2
    return columns + 0.3 * labels[:, None], labels


@pytest.mark.parametrize("p_target", [0.01, 0.3, 0.9])
def test_weights_are_those_of_scikit_learn(p_target):
    """Its weighted regression learns the posterior; the prior is taken off the intercept."""
    columns, labels = make()
    weights = np.where(labels, p_target / labels.sum(), (1 - p_target) / (~labels).sum())
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000)
    peer.fit(columns, labels, sample_weight=weights * len(labels))
    ours = Calibration(p_target).fit(columns, labels)
    np.testing.assert_allclose(ours.weights_, peer.coef_[0], rtol=2e-3)
    assert ours.intercept_ == pytest.approx(peer.intercept_[0] - logit(p_target), rel=2e-3)


@pytest.mark.parametrize("p_target", [0.01, 0.5])
def test_the_cost_is_the_least_that_scipy_finds(p_target):
    """The objective written out: the logarithmic cost at the prior, in nats."""
    columns, labels = make(seed=3)
    prior = logit(p_target)

    def cost(parameters):
        llr = columns @ parameters[:-1] + parameters[-1]
        miss = np.logaddexp(0.0, -llr[labels] - prior).mean()
        false_alarm = np.logaddexp(0.0, llr[~labels] + prior).mean()
        return p_target * miss + (1 - p_target) * false_alarm

    found = Calibration(p_target).fit(columns, labels)
    best = minimize(cost, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    assert cost(np.append(found.weights_, found.intercept_)) <= best.fun + 1e-7
    np.testing.assert_allclose([*found.weights_, found.intercept_], best.x, rtol=5e-3, atol=5e-3)


def test_true_ratios_are_left_alone():
    """Scores of two Gaussians of variance 1, 2 apart: llr = 2 s - 2."""
    generator = np.random.default_rng(1)
    labels = np.arange(200_000) % 2 == 0
    scores = generator.standard_normal(len(labels)) + 2.0 * labels
    fitted = Calibration(0.5).fit(scores, labels)
    assert fitted.weights_[0] == pytest.approx(2.0, abs=0.05)
    assert fitted.intercept_ == pytest.approx(-2.0, abs=0.05)
    again = Calibration(0.5).fit(fitted.transform(scores), labels)
    assert again.weights_[0] == pytest.approx(1.0, abs=1e-3)
    assert again.intercept_ == pytest.approx(0.0, abs=1e-3)


def test_the_shares_of_the_classes_do_not_matter():
    columns, labels = make(systems=1)
    rows = np.concatenate([np.flatnonzero(labels).repeat(7), np.flatnonzero(~labels)])
    once, often = (Calibration().fit(columns[r], labels[r]) for r in (np.arange(len(labels)), rows))
    np.testing.assert_allclose(once.weights_, often.weights_, rtol=1e-6)
    assert once.intercept_ == pytest.approx(often.intercept_, rel=1e-6)


def test_calibration_reaches_the_least_cllr_and_the_least_cost():
    columns, labels = make(count=20_000, systems=1)
    raw = columns[:, 0]
    llr = Calibration(0.05).fit(raw, labels).transform(raw)
    assert metrics.cllr(llr, labels) < 1.02 * metrics.min_cllr(raw, labels)
    assert metrics.act_dcf(llr, labels, 0.05) < 1.02 * metrics.min_dcf(raw, labels, 0.05)
    assert metrics.act_dcf(raw, labels, 0.05) > 0.99  # uncalibrated: everything is rejected
    assert metrics.eer(llr, labels) == pytest.approx(metrics.eer(raw, labels))


def test_fusion_is_better_than_its_best_part():
    columns, labels = make(count=20_000, systems=3)
    fused = Calibration().fit(columns, labels).transform(columns)
    assert metrics.eer(fused, labels) < 0.8 * min(metrics.eer(c, labels) for c in columns.T)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_perfect_separation_stays_finite(scale):
    scores, labels = np.array([0.0, 1.0, 2.0, 3.0]) * scale, np.array([0, 0, 1, 1])
    llr = Calibration().fit(scores, labels).transform(scores)
    assert np.isfinite(llr).all() and np.all(np.diff(llr) > 0)
    assert metrics.cllr(llr, labels) < 0.01


def test_scores_that_say_nothing_give_zero():
    labels = np.arange(10) % 2 == 0
    llr = Calibration().fit(np.ones(10), labels).transform(np.ones(10))
    np.testing.assert_allclose(llr, 0.0, atol=1e-9)
    columns = np.stack([np.arange(10.0), np.full(10, 3.0)], axis=1)
    assert Calibration().fit(columns, labels).weights_[1] == 0.0


def test_one_trial_a_class_and_equal_columns():
    columns = np.array([[0.0, 0.0], [1.0, 1.0]])
    fitted = Calibration().fit(columns, [0, 1])
    assert np.isfinite(fitted.weights_).all()
    assert fitted.weights_[0] == pytest.approx(fitted.weights_[1])


def test_probability():
    assert probability(0.0, 0.01) == pytest.approx(0.01)
    assert probability(np.log(99), 0.01) == pytest.approx(0.5)


def test_saved_and_loaded(tmp_path):
    columns, labels = make()
    fitted = Calibration(0.2).fit(columns, labels, ["a", "b"])
    fitted.save(tmp_path / "c.safetensors")
    back = Calibration.load(tmp_path / "c.safetensors")
    assert back.p_target == 0.2 and back.names_ == ["a", "b"]
    np.testing.assert_array_equal(back.transform(columns), fitted.transform(columns))


@pytest.mark.parametrize(
    ("columns", "labels", "words"),
    [
        ([0.1, 0.2], [1, 1], "2 target and 0 non-target"),
        ([0.1, np.nan], [1, 0], "1 of 2 trials"),
        ([0.1, 0.2, 0.3], [1, 0], "3 trials have 2 labels"),
    ],
)
def test_bad_input_is_refused(columns, labels, words):
    with pytest.raises(InputError, match=words):
        Calibration().fit(np.array(columns), labels)
    with pytest.raises(InputError, match="prior"):
        Calibration(1.0).fit([0.1, 0.2], [1, 0])
    with pytest.raises(InputError, match="learned from 1 columns"):
        Calibration().fit([0.1, 0.2], [1, 0]).transform(np.ones((2, 2)))


# ---------------------------------------------------------------- columns


def test_columns_are_scores_then_qualities(tmp_path):
    (tmp_path / "trials").write_text("1 a b\n0 a c\n")
    (tmp_path / "s1").write_text("a b 0.5\na c 0.25\n")
    (tmp_path / "s2").write_text("a c -1\na b 2\n")  # another order
    (tmp_path / "utt2dur").write_text("c 4\na 2\nb 1\nunused 9\n")
    trials = read_trials(tmp_path / "trials")
    files = [tmp_path / "s1", tmp_path / "s2"]
    columns, names = gather(trials, files, [str(tmp_path / "utt2dur")])
    expected = [[0.5, 2, 0, np.log(2)], [0.25, -1, np.log(2), np.log(4)]]
    np.testing.assert_allclose(columns, expected)
    assert names == ["score 1", "score 2", "least log utt2dur", "largest log utt2dur"]


def test_magnitudes_come_from_embeddings(tmp_path):
    from sv.kaldi.arks import ArkWriter

    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        writer.write("a", np.array([3.0, 4.0]))
        writer.write("b", np.array([0.0, 2.0]))
    values, kind = read_quality(f"scp:{tmp_path / 'e.scp'}")
    assert values == {"a": 5.0, "b": 2.0} and kind == "magnitude"


@pytest.mark.parametrize(
    ("text", "words"), [("a 0\n", "1 of 1 values"), ("a x\n", "is no number"), ("", "empty")]
)
def test_qualities_that_are_no_positive_numbers(tmp_path, text, words):
    (tmp_path / "q").write_text(text)
    with pytest.raises(InputError, match=words):
        read_quality(str(tmp_path / "q"))


def test_an_utterance_without_quality_is_named(tmp_path):
    (tmp_path / "trials").write_text("1 a b\n0 a c\n")
    with pytest.raises(InputError, match="1 of 3 utterances.*not in q: c;"):
        quality_columns(read_trials(tmp_path / "trials"), {"a": 1.0, "b": 2.0}, "q")


def test_quality_helps_where_noise_depends_on_duration():
    """Short recordings have noisy scores: with their durations, less is lost."""
    generator = np.random.default_rng(2)
    count = 40_000
    labels = np.arange(count) % 2 == 0
    duration = generator.uniform(0.0, 3.0, count)  # log seconds
    scores = generator.standard_normal(count) * 0.3 + 2.0 * labels - duration
    plain = Calibration().fit(scores, labels).transform(scores)
    columns = np.stack([scores, duration], axis=1)
    helped = Calibration().fit(columns, labels).transform(columns)
    assert metrics.cllr(helped, labels) < 0.5 * metrics.cllr(plain, labels)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.5, 0.5, 0.5, 0.5], ["get the same ratio"]),
        ([0.0, 0.1, 0.8, 0.9], ["separate these trials without an error"]),
        ([0.0, 0.8, 0.1, 0.9], []),
    ],
)
def test_ratios_that_are_worth_little_are_said(scores, words, tmp_path):
    fitted = Calibration().fit(np.array(scores), np.array([0, 0, 1, 1]))
    fitted.save(tmp_path / "m")
    for model in (fitted, Calibration.load(tmp_path / "m")):
        assert len(model.doubts) == len(words) and not model.negative
        assert all(word in text for word, text in zip(words, model.doubts, strict=True))


def test_a_negative_weight_is_said(tmp_path, capsys):
    columns, labels = make()
    assert Calibration().fit(columns, labels, ["score 1", "score 2"]).doubts == []
    exchanged = Calibration().fit(columns, ~labels, ["score 1", "least log utt2dur"])
    (text,) = exchanged.doubts  # that of the quality is no sign of anything
    assert text.startswith("the weight of score 1 is negative (-")

    pairs = [(f"a{n}", f"b{n}") for n in range(len(labels))]
    lines = zip(labels, pairs, strict=True)
    (tmp_path / "trials").write_text("".join(f"{int(not y)} {a} {b}\n" for y, (a, b) in lines))
    rows = zip(pairs, columns[:, 0], strict=True)
    (tmp_path / "scores").write_text("".join(f"{a} {b} {x:.6f}\n" for (a, b), x in rows))
    calibrate.main(
        ["--dev-trials", str(tmp_path / "trials"), "--dev-scores", str(tmp_path / "scores")]
        + ["--model", str(tmp_path / "m"), "--scores", str(tmp_path / "scores")]
        + ["--output", str(tmp_path / "out")]
    )
    assert "warning: the weight of score 1 is negative" in capsys.readouterr().err
    assert read_info(tmp_path / "out")["calibration"]["negative_weight"] is True
