"""Z-, T-, S- and AS-norm against loops, a hand-worked case, and the block-wise path."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv.errors import InputError
from sv.scoring import score_norm
from sv.scoring.pairs import Prepared, Sides
from sv.scoring.score_norm import ScoreNorm, as_norm, s_norm, t_norm, z_norm


def naive_as_norm(scores, enroll_cohort, test_cohort, top_n):
    """One trial after another, with sorted lists."""
    result = []
    for score, left, right in zip(scores, enroll_cohort, test_cohort, strict=True):
        parts = []
        for cohort in (left, right):
            best = sorted((float(x) for x in cohort), reverse=True)[:top_n]
            mean = sum(best) / len(best)
            variance = sum((x - mean) ** 2 for x in best) / len(best)
            parts.append((float(score) - mean) / variance**0.5)
        result.append(0.5 * sum(parts))
    return np.array(result)


def random_case(seed, trials, cohort, dtype=np.float64):
    generator = np.random.default_rng(seed)
    shapes = (trials,), (trials, cohort), (trials, cohort)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(2, 40), st.integers(2, 50))
def test_as_norm_is_the_naive_loop(seed, trials, cohort, top_n):
    case = random_case(seed, trials, cohort)
    np.testing.assert_allclose(as_norm(*case, top_n), naive_as_norm(*case, top_n), rtol=1e-9)


def test_as_norm_by_hand():
    # top 2 of each side: (4, 2): mean 3, deviation 1; (6, 2): mean 4, deviation 2
    value = as_norm([5.0], [[4.0, 2.0, -9.0]], [[-9.0, 2.0, 6.0]], 2)
    assert value.tolist() == pytest.approx([0.5 * ((5 - 3) / 1 + (5 - 4) / 2)])


def test_the_others_by_hand():
    scores, enrol, test = [5.0, 1.0], [[4.0, 2.0], [1.0, 3.0]], [[6.0, 2.0], [0.0, 2.0]]
    assert z_norm(scores, enrol).tolist() == pytest.approx([2.0, -1.0])
    assert t_norm(scores, test).tolist() == pytest.approx([0.5, 0.0])
    assert s_norm(scores, enrol, test).tolist() == pytest.approx([1.25, -0.5])


def test_top_n_of_the_whole_cohort_is_s_norm():
    case = random_case(0, 5, 30)
    np.testing.assert_array_equal(as_norm(*case, 30), s_norm(*case))
    np.testing.assert_array_equal(as_norm(*case, 300), s_norm(*case))


def test_inputs_are_left_as_they_are():
    case = random_case(1, 5, 3000, np.float32)
    before = [x.copy() for x in case]
    as_norm(*case, 20)
    for old, new in zip(before, case, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "ties", "sample misleads"])
def test_a_large_cohort_is_selected_exactly(order):
    """The threshold from a sample may be too high or too low; the selection is the same."""
    scores = np.random.default_rng(2).standard_normal((7, 6000)).astype(np.float32)
    if order == "ties":
        scores = np.round(scores)
    elif order == "sample misleads":
        scores[:, :: score_norm.STRIDE] += 100.0
    elif order != "random":
        scores.sort(axis=1)
        scores = scores if order == "ascending" else scores[:, ::-1].copy()
    for top_n in (2, 50, 300, 1000, 5999):
        found = np.sort(score_norm._largest(scores, top_n), axis=1)
        np.testing.assert_array_equal(found, np.sort(scores, axis=1)[:, -top_n:])


def test_a_score_that_is_not_a_number_is_not_overlooked():
    scores, enrol, test = random_case(3, 3, 6000)
    enrol[1, 5] = np.nan
    with pytest.raises(InputError, match="1 of 3 utterances"):
        as_norm(scores, enrol, test, 10)


def rows(generator, count, bias):
    vectors = generator.standard_normal((count, 6)).astype(np.float32)
    return Prepared(vectors, generator.standard_normal(count).astype(np.float32) if bias else None)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["z", "t", "s", "as"])
def test_from_embeddings_equals_from_matrices(kind, bias, monkeypatch):
    monkeypatch.setattr(score_norm, "BLOCK_SCORES", 3 * 25)  # three utterances a block
    generator = np.random.default_rng(4)
    enrol, test, cohort = (rows(generator, n, bias) for n in (8, 10, 25))
    sides = Sides(enrol, test, generator.integers(0, 8, 40), generator.integers(0, 10, 40))
    scores = generator.standard_normal(40)

    def against_cohort(side, of_trial):
        matrix = side.rows @ cohort.rows.T
        if bias:
            matrix = matrix + side.bias[:, None] + cohort.bias[None, :]
        return matrix[of_trial]

    left, right = against_cohort(enrol, sides.enrol_rows), against_cohort(test, sides.test_rows)
    expected = {
        "z": lambda: z_norm(scores, left),
        "t": lambda: t_norm(scores, right),
        "s": lambda: s_norm(scores, left, right),
        "as": lambda: as_norm(scores, left, right, 7),
    }[kind]()
    found = ScoreNorm(kind, top_n=7).fit(cohort).transform(scores, sides)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_set_on_both_sides_is_symmetric():
    generator = np.random.default_rng(5)
    both, cohort = rows(generator, 6, False), rows(generator, 50, False)
    left, right = np.array([0, 1, 2]), np.array([3, 4, 5])
    norm = ScoreNorm("as", 10).fit(cohort)
    there = norm.transform(np.ones(3), Sides(both, both, left, right))
    back = norm.transform(np.ones(3), Sides(both, both, right, left))
    np.testing.assert_allclose(there, back)


def test_normalisation_repairs_what_it_is_for():
    """Recordings whose scores are all too high: raw scores confuse them, normalised do not."""
    from sv.scoring import metrics

    generator = np.random.default_rng(6)
    count = 400
    offset = generator.standard_normal((2, count)) * 3
    scores = offset.sum(axis=0) + generator.standard_normal(count)
    labels = np.arange(count) % 2 == 0
    scores[labels] += 3
    cohorts = [o[:, None] + generator.standard_normal((count, 500)) * 2**0.5 for o in offset]
    normalised = as_norm(scores, *cohorts, 200)
    assert metrics.eer(normalised, labels) < 0.7 * metrics.eer(scores, labels)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], [[1.0]], [[1.0]], 5), "at least 2"),
        (([1.0], [[1.0, 2.0]], [[1.0, 2.0]], 1), "at least 2"),
        (([1.0], [1.0, 2.0], [1.0, 2.0], 2), "row per trial"),
        (([1.0], [[1.0, 1.0]], [[1.0, 2.0]], 2), "have equal scores"),
        (([1.0, 2.0], [[1.0, 2.0]], [[1.0, 2.0]], 2), "one row per trial"),
    ],
)
def test_bad_input_is_refused_in_plain_words(arguments, words):
    with pytest.raises(InputError, match=words):
        as_norm(*arguments)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="'zt' is unknown: z, t, s, as"):
        ScoreNorm("zt").fit(Prepared(np.eye(3, dtype=np.float32)))


def test_extra_memory_is_a_block():
    """2,000 utterances against a cohort of 4,000 would be 32 MB; a block of 256 rows is 4."""
    import tracemalloc

    generator = np.random.default_rng(7)
    side, cohort = rows(generator, 2000, False), rows(generator, 4000, False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_norm, "BLOCK_SCORES", 256 * 4000)
        tracemalloc.start()
        score_norm.cohort_statistics(side, cohort, 100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8e6
