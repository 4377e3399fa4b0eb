"""Cosine scores against one library call a pair, and the score file."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from sv.data.trials import read_trials
from sv.errors import InputError
from sv.files import is_stream
from sv.scoring import cosine, pairs
from sv.scoring.score_file import match_scores, read_scores, write_scores


def make_trials(path, count=300, utterances=20, seed=0):
    generator = np.random.default_rng(seed)
    pairs = generator.integers(0, utterances, (count, 2))
    path.write_text("".join(f"{int(i % 4 == j % 4)} u{i} u{j}\n" for i, j in pairs))
    return read_trials(path)


def make_embeddings(utterances=20, dim=7, seed=1):
    vectors = np.random.default_rng(seed).standard_normal((utterances, dim)).astype(np.float32)
    return [f"u{i}" for i in range(utterances)], vectors


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 40), block=st.integers(1, 50), dim=st.integers(1, 9))
def test_equals_one_call_a_pair(tmp_path_factory, count, block, dim):
    trials = make_trials(tmp_path_factory.mktemp("t") / "trials", count)
    ids, vectors = make_embeddings(dim=dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "BLOCK", block)
        scores = cosine.score_trials(trials, (ids, vectors))
    assert scores.dtype == np.float32
    for score, enrol, test in zip(scores, trials.enrol, trials.test, strict=True):
        left, right = (vectors[ids.index(trials.names[i])][None] for i in (enrol, test))
        assert score == pytest.approx(cosine_similarity(left, right)[0, 0], abs=1e-5)


def test_two_sets_and_a_mean(tmp_path):
    (tmp_path / "trials").write_text("1 a b\n0 a c\n")
    trials = read_trials(tmp_path / "trials")
    mean = np.array([1.0, 1.0], dtype=np.float32)
    scores = cosine.score_trials(
        trials,
        (["b", "c", "never used"], np.array([[2.0, 1.0], [1.0, 4.0], [np.nan, 0.0]])),
        enrol_embeddings=(["a"], np.array([[3.0, 1.0]])),
        mean=mean,
    )
    assert scores.tolist() == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("broken", [0.0, np.nan, np.inf])
def test_broken_embeddings_are_named(tmp_path, broken):
    trials = make_trials(tmp_path / "trials")
    ids, vectors = make_embeddings()
    vectors[3] = broken
    with pytest.raises(InputError, match="1 of 20 embeddings are zero, infinite or NaN: u3;"):
        cosine.score_trials(trials, (ids, vectors))


def test_missing_embeddings_and_other_dimensions_are_refused(tmp_path):
    trials = make_trials(tmp_path / "trials")
    ids, vectors = make_embeddings()
    with pytest.raises(InputError, match="10 of 20 utterances.*not in E.scp"):
        cosine.score_trials(trials, (ids[:10], vectors[:10]), sources=("E.scp", "-"))
    with pytest.raises(InputError, match="same model"):
        cosine.score_trials(trials, (ids, vectors), (ids, vectors[:, :5]))
    with pytest.raises(InputError, match="same model"):
        cosine.score_trials(trials, (ids, vectors), mean=np.zeros(3, dtype=np.float32))


def test_score_file_is_written_in_order_and_read_back(tmp_path):
    trials = make_trials(tmp_path / "trials", count=5000)
    scores = np.random.default_rng(2).standard_normal(5000).astype(np.float32)
    write_scores(tmp_path / "new" / "scores", trials, scores)
    lines = (tmp_path / "new" / "scores").read_text().splitlines()
    assert len(lines) == 5000
    for row in (0, 17, 4095, 4096, 4999):
        names = trials.names[trials.enrol[row]], trials.names[trials.test[row]]
        assert lines[row] == f"{names[0]} {names[1]} {scores[row]:.6f}"
    back = read_scores(tmp_path / "new" / "scores")
    np.testing.assert_allclose(back.values, scores, atol=5.1e-7)
    np.testing.assert_array_equal(match_scores(back, trials), back.values)
    with pytest.raises(InputError, match="5000 trials"):
        write_scores(tmp_path / "scores", trials, scores[:-1])
    assert not (tmp_path / "scores").exists()


def test_a_pipe_or_a_device_stays_one(tmp_path):
    trials = make_trials(tmp_path / "trials", count=5)
    pipe, plain = tmp_path / "pipe", tmp_path / "plain"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_scores(pipe, trials, np.zeros(5), {"backend": "cosine"})
        assert os.read(reader, 1 << 16).count(b"\n") == 5 and pipe.is_fifo()
    finally:
        os.close(reader)
    with plain.open("wb") as handle:  # as /dev/stdout behind > FILE
        write_scores(f"/dev/fd/{handle.fileno()}", trials, np.zeros(5), {"backend": "cosine"})
    assert plain.read_bytes().count(b"\n") == 5
    assert not list(tmp_path.glob("*.json"))
    assert is_stream("/dev/null") and is_stream("/dev/stdout") and not is_stream(plain)


def test_scores_in_another_order_are_joined_by_pair(tmp_path):
    (tmp_path / "trials").write_text("1 a b\n0 a c\n1 b a\n1 a b\n")
    trials = read_trials(tmp_path / "trials")
    (tmp_path / "scores").write_text("x y 9\nb a 0.3\na c 0.2\na b 0.1\na b 0.1\n")
    assert match_scores(read_scores(tmp_path / "scores"), trials).tolist() == [0.1, 0.2, 0.3, 0.1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b 0.1\na c 0.2\n", ["1 of the 3 trials", "no score", "b a"]),
        ("x y 0.1\n", ["3 of the 3 trials", "no score"]),
        ("a b 0.1\na b 0.2\na c 1\nb a 1\n", ["two different scores", "a b"]),
        ("a b 0.1\n\na c oops\n", ["line 3", "'oops'"]),
        ("1 a b 0.1\n", ["line 1", "4 columns"]),
        ("", ["empty"]),
    ],
)
def test_scores_that_do_not_fit_are_refused(tmp_path, text, words):
    (tmp_path / "trials").write_text("1 a b\n0 a c\n1 b a\n")
    (tmp_path / "scores").write_text(text)
    with pytest.raises(InputError) as error:
        match_scores(read_scores(tmp_path / "scores"), read_trials(tmp_path / "trials"))
    for word in words:
        assert word in str(error.value)


def test_the_back_end_learns_a_mean_and_keeps_it(tmp_path):
    ids, vectors = make_embeddings()
    train = vectors + 3.0
    fitted = cosine.Cosine(center=True).fit(train)
    np.testing.assert_allclose(fitted.mean_, train.mean(axis=0), rtol=1e-5)
    expected = cosine.unit_rows(ids, vectors, fitted.mean_)
    before = vectors.copy()
    np.testing.assert_array_equal(fitted.transform(vectors), expected)
    np.testing.assert_array_equal(vectors, before)
    fitted.save(tmp_path / "c.safetensors")
    back = cosine.Cosine.load(tmp_path / "c.safetensors")
    np.testing.assert_array_equal(back.prepare(ids, vectors.copy()).rows, expected)
    assert cosine.Cosine().fit(train).mean_ is None
    cosine.Cosine().fit(train).save(tmp_path / "plain.safetensors")
    assert cosine.Cosine.load(tmp_path / "plain.safetensors").mean_ is None
