"""Error rates against loops over thresholds, scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from sv.errors import InputError
from sv.scoring import metrics


@st.composite
def scored(draw):
    """A small set with many ties and both classes present."""
    count = draw(st.integers(2, 30))
    scores = draw(hnp.arrays(np.int64, count, elements=st.integers(-4, 4))) / 4.0
    labels = draw(hnp.arrays(bool, count))
    labels[0], labels[1] = True, False
    return scores, labels


def naive_curve(scores, labels):
    """(P_miss, P_fa) at each distinct score and at "reject everything", in plain Python."""
    target = [s for s, y in zip(scores, labels, strict=True) if y]
    nontarget = [s for s, y in zip(scores, labels, strict=True) if not y]
    points = []
    for threshold in [*sorted(set(scores)), None]:
        accept = (lambda s: False) if threshold is None else (lambda s, t=threshold: s >= t)
        points.append(
            (
                sum(not accept(s) for s in target) / len(target),
                sum(accept(s) for s in nontarget) / len(nontarget),
            )
        )
    return points


def naive_eer(scores, labels):
    points = naive_curve(scores, labels)
    for (miss, fa), (next_miss, next_fa) in zip(points, points[1:], strict=False):
        if next_miss >= next_fa:
            share = (fa - miss) / ((fa - miss) + (next_miss - next_fa))
            return fa + share * (next_fa - fa)
    raise AssertionError("the curve always crosses")


@given(scored())
def test_eer_is_the_crossing_of_the_naive_curve(data):
    assert metrics.eer(*data) == pytest.approx(naive_eer(*data), abs=1e-12)


@given(scored(), st.sampled_from([0.01, 0.05, 0.5, 0.9]), st.sampled_from([0.5, 1.0, 10.0]))
def test_min_dcf_is_the_minimum_over_the_naive_curve(data, p, c_miss):
    costs = [c_miss * p * miss + (1 - p) * fa for miss, fa in naive_curve(*data)]
    expected = min(costs) / min(c_miss * p, 1 - p)
    assert metrics.min_dcf(*data, p, c_miss=c_miss) == pytest.approx(expected, abs=1e-12)


@given(scored())
def test_det_curve_is_the_naive_curve(data):
    curve = metrics.det_curve(*data)
    np.testing.assert_allclose(np.stack([curve.p_miss, curve.p_fa], 1), naive_curve(*data))
    assert curve.thresholds[-1] == np.inf


@given(scored(), st.floats(0.1, 10), st.floats(-5, 5), st.randoms())
def test_figures_depend_on_the_order_of_scores_only(data, scale, shift, random):
    scores, labels = data
    order = list(range(len(scores)))
    random.shuffle(order)
    moved, permuted = (scores * scale + shift)[order], labels[order]
    assert metrics.eer(moved, permuted) == pytest.approx(metrics.eer(scores, labels))
    assert metrics.min_dcf(moved, permuted, 0.05) == pytest.approx(
        metrics.min_dcf(scores, labels, 0.05)
    )


@given(scored())
def test_eer_of_exchanged_classes_is_the_same(data):
    scores, labels = data
    assert metrics.eer(-scores, ~labels) == pytest.approx(metrics.eer(scores, labels))


@given(scored())
def test_act_dcf_is_never_below_min_dcf(data):
    for p in (0.01, 0.3, 0.7):
        assert metrics.act_dcf(*data, p) >= metrics.min_dcf(*data, p) - 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(50, 3000), st.sampled_from([np.float32, np.float64]))
def test_against_scikit_learn_on_larger_sets(seed, count, dtype):
    """Large enough for the coarse-to-fine search of minDCF to rule something out."""
    generator = np.random.default_rng(seed)
    labels = generator.random(count) < 0.3
    labels[:2] = True, False
    scores = np.round(generator.standard_normal(count) + 1.5 * labels, 3).astype(dtype)
    p_fa, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = np.min(0.05 * (1 - hits) + 0.95 * p_fa) / 0.05
    assert metrics.min_dcf(scores, labels, 0.05) == pytest.approx(expected, abs=1e-9)
    crossing = np.interp(0.0, 1 - hits[::-1] - p_fa[::-1], p_fa[::-1])
    assert metrics.eer(scores, labels) == pytest.approx(crossing, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_eer_is_that_of_the_usual_recipe_of_scipy(seed):
    """scikit-learn's curve, interpolated, and scipy's root of where both errors are equal."""
    generator = np.random.default_rng(seed)
    labels = generator.random(800) < 0.4
    scores = generator.standard_normal(800) + 1.2 * labels
    p_fa, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1.0 - x - np.interp(x, p_fa, hits), 0.0, 1.0, xtol=1e-12)
    assert metrics.eer(scores, labels) == pytest.approx(expected, abs=1e-9)


def test_the_minimum_is_found_among_many_targets_with_few_nontargets():
    generator = np.random.default_rng(3)
    labels = np.arange(20_000) % 100 > 0
    scores = generator.standard_normal(20_000) + labels
    curve = metrics.det_curve(scores, labels)
    for p in (0.01, 0.5, 0.99):
        expected = np.min(p * curve.p_miss + (1 - p) * curve.p_fa) / min(p, 1 - p)
        assert metrics.min_dcf(scores, labels, p) == pytest.approx(expected, abs=1e-12)


def test_operating_points_reproduce_their_figures():
    generator = np.random.default_rng(1)
    labels = generator.random(5000) < 0.5
    scores = generator.standard_normal(5000) + labels
    classes = metrics.sort_classes(scores, labels)
    point = metrics.min_dcf_point(classes, 0.1)
    assert np.mean(scores[labels] < point.threshold) == pytest.approx(point.p_miss)
    assert np.mean(scores[~labels] >= point.threshold) == pytest.approx(point.p_fa)
    assert point.value == pytest.approx((0.1 * point.p_miss + 0.9 * point.p_fa) / 0.1)
    point = metrics.eer_point(classes)
    assert np.mean(scores[labels] < point.threshold) == pytest.approx(point.value, abs=1e-3)
    assert np.mean(scores[~labels] >= point.threshold) == pytest.approx(point.value, abs=1e-3)


@pytest.mark.parametrize(
    "scores",
    [(-np.inf, np.inf), (-np.inf, 0.5), (0.5, np.inf), (-1.7e308, 1.7e308), (0.25, 0.5)],
)
def test_the_threshold_of_a_separated_list_separates_it(scores):
    labels = np.array([0, 0, 1, 1])
    point = metrics.eer_point(metrics.sort_classes(np.repeat(scores, 2).astype(float), labels))
    assert point.value == 0.0 and scores[0] < point.threshold <= scores[1]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 0.0),  # separated
        ([1, 2, 3, 4], [1, 1, 0, 0], 1.0),  # separated the wrong way round
        ([5, 5, 5, 5], [0, 1, 0, 1], 0.5),  # one threshold for all: no information
        ([-np.inf, 0, 0, np.inf], [0, 0, 1, 1], 0.25),  # decisions that are certain
    ],
)
def test_eer_of_small_sets(scores, labels, expected):
    assert metrics.eer(np.array(scores, dtype=float), labels) == pytest.approx(expected)


def test_cllr_known_values():
    assert metrics.cllr([0.0, 0.0], [1, 0]) == pytest.approx(1.0)
    assert metrics.cllr([50.0, -50.0], [1, 0]) == pytest.approx(0.0, abs=1e-9)
    # ln 3 for a target costs log2(4/3); 0 for a non-target costs 1 bit
    assert metrics.cllr([np.log(3), 0.0], [1, 0]) == pytest.approx((np.log2(4 / 3) + 1) / 2)
    assert metrics.cllr([-2000.0, 0.0], [1, 0]) == pytest.approx((2000 / np.log(2) + 1) / 2)


def test_act_dcf_uses_the_bayes_threshold():
    # threshold ln(0.99/0.01) = 4.6: the target at 5 is accepted, the one at 4 is missed
    llr, labels = [5.0, 4.0, 0.0, 6.0], [1, 1, 0, 0]
    assert metrics.act_dcf(llr, labels, 0.01) == pytest.approx((0.01 * 0.5 + 0.99 * 0.5) / 0.01)
    # at p = 0.5 the threshold is 0 and a score of exactly 0 is accepted
    assert metrics.act_dcf(llr, labels, 0.5) == pytest.approx(1.0 * 2 * 0.5)


@pytest.mark.parametrize(
    ("scores", "labels", "word"),
    [
        ([0.1, np.nan, 0.3], [1, 0, 1], "NaN"),
        ([0.1, 0.2], [1, 1], "0 non-target"),
        ([0.1, 0.2], [0, 0], "0 target"),
        ([], [], "0 target"),
        ([0.1, 0.2, 0.3], [1, 0], "one label per trial"),
        ([0.1, 0.2, 0.3], [1, 0, 2], "labels must be 1"),
        ([0.1, 0.2], ["target", "nontarget"], "labels must be 1"),
        ([[0.1, 0.2]], [[1, 0]], "shape"),
    ],
)
def test_bad_input_is_refused_in_plain_words(scores, labels, word):
    for figure in (metrics.eer, metrics.cllr, metrics.det_curve):
        with pytest.raises(InputError, match=word):
            figure(np.array(scores, dtype=float), np.array(labels))
    with pytest.raises(InputError, match=word):
        metrics.min_dcf(np.array(scores, dtype=float), np.array(labels), 0.01)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 5.0])
def test_impossible_priors_are_refused(p):
    with pytest.raises(InputError, match="prior"):
        metrics.min_dcf([0.1, 0.2], [1, 0], p)


# ---------------------------------------------------------------- costs, Cllr


@pytest.mark.parametrize(
    ("scores", "labels", "eer", "least_cllr"),
    [
        ([1.0, 2.0], [0, 1], 0.0, 0.0),  # one trial a side, separated
        ([2.0, 1.0], [0, 1], 1.0, 1.0),  # the wrong way round: a flat map is the best there is
        ([1.0, 1.0], [0, 1], 0.5, 1.0),  # equal
        ([0.0] * 6, [0, 0, 0, 0, 1, 1], 0.5, 1.0),  # all equal, unequal classes
        ([1.0, 2.0, 2.0, 3.0], [0, 0, 1, 1], 0.25, 0.5),  # a tie in the middle: 1 bit for half
    ],
)
def test_hand_worked_sets(scores, labels, eer, least_cllr):
    assert metrics.eer(np.array(scores), labels) == pytest.approx(eer)
    assert metrics.min_cllr(np.array(scores), labels) == pytest.approx(least_cllr)


def naive_cllr(llr, labels):
    miss = [np.log2(1 + np.exp(-x)) for x, y in zip(llr, labels, strict=True) if y]
    false_alarm = [np.log2(1 + np.exp(x)) for x, y in zip(llr, labels, strict=True) if not y]
    return (sum(miss) / len(miss) + sum(false_alarm) / len(false_alarm)) / 2


@given(scored())
def test_cllr_is_the_naive_sum(data):
    assert metrics.cllr(*data) == pytest.approx(naive_cllr(*data), rel=1e-12)


@given(scored())
def test_min_cllr_is_that_of_scikit_learns_isotonic_regression(data):
    from sklearn.isotonic import IsotonicRegression

    scores, labels = data
    posterior = IsotonicRegression().fit(scores, labels.astype(float)).predict(scores)
    with np.errstate(divide="ignore"):
        prior = labels.mean()
        llr = np.log(posterior / (1 - posterior)) - np.log(prior / (1 - prior))
        expected = naive_cllr(llr, labels)
    assert metrics.min_cllr(*data) == pytest.approx(expected, abs=1e-9)


@given(scored(), st.floats(0.1, 10), st.floats(-5, 5))
def test_no_affine_map_goes_below_min_cllr(data, scale, shift):
    scores, labels = data
    assert metrics.cllr(scale * scores + shift, labels) >= metrics.min_cllr(scores, labels) - 1e-9


@given(
    scored(),
    st.sampled_from([0.01, 0.2, 0.5, 0.9]),
    st.sampled_from([0.5, 1.0, 10.0]),
    st.sampled_from([0.2, 1.0, 3.0]),
)
def test_act_dcf_is_the_naive_cost_at_the_bayes_threshold(data, p, c_miss, c_fa):
    llr, labels = 4.0 * data[0], data[1]
    threshold = np.log(c_fa * (1 - p) / (c_miss * p))
    miss = np.mean([x < threshold for x, y in zip(llr, labels, strict=True) if y])
    false_alarm = np.mean([x >= threshold for x, y in zip(llr, labels, strict=True) if not y])
    cost = c_miss * p * miss + c_fa * (1 - p) * false_alarm
    expected = cost / min(c_miss * p, c_fa * (1 - p))
    found = metrics.act_dcf(llr, labels, p, c_miss, c_fa)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found >= metrics.min_dcf(llr, labels, p, c_miss, c_fa) - 1e-12


@given(scored(), st.sampled_from([0.05, 0.5]), st.sampled_from([0.2, 3.0]))
def test_min_dcf_knows_the_cost_of_false_alarms(data, p, c_fa):
    costs = [p * miss + c_fa * (1 - p) * fa for miss, fa in naive_curve(*data)]
    expected = min(costs) / min(p, c_fa * (1 - p))
    assert metrics.min_dcf(*data, p, c_fa=c_fa) == pytest.approx(expected, abs=1e-12)
