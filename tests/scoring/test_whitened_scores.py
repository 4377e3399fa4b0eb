"""Whitening against its definition and scikit-learn, in the back-end and in its program."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sv.bin import whiten
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter
from sv.scoring import whitening as module
from sv.scoring.cosine import Cosine
from sv.scoring.whitening import WhitenedCosine, Whitening


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    mixed = generator.standard_normal((300, 5)) @ generator.standard_normal((5, 5))
    return (mixed * [3.0, 1.0, 0.2, 1.0, 5.0] + [1.0, 0.0, -4.0, 2.0, 0.5]).astype(np.float32)


def cosines(backend, vectors):
    rows = backend.prepare([str(n) for n in range(len(vectors))], vectors.copy()).rows
    return rows @ rows.T


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_the_shrunk_covariance_becomes_the_identity(vectors, kind, shrinkage, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 70)
    fitted = Whitening(kind, shrinkage).fit(vectors)
    covariance = np.cov(vectors.T.astype(np.float64), bias=True)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 5 * np.eye(5)
    w = fitted.projection_
    np.testing.assert_allclose(w.T @ shrunk @ w, np.eye(5), atol=1e-9)
    if kind == "zca":
        np.testing.assert_allclose(w, w.T, atol=1e-9)  # of all whitenings, only zca is symmetric
        assert np.linalg.eigvalsh(w).min() > 0
    expected = (vectors - vectors.mean(axis=0, dtype=np.float64)) @ w
    np.testing.assert_allclose(fitted.transform(vectors), expected, atol=1e-5)


def test_pca_is_that_of_scikit_learn_and_drops_the_smallest_variances(vectors):
    ours = Whitening("pca", 0.0, dim=3).fit(vectors).transform(vectors)
    theirs = PCA(3, whiten=True).fit_transform(vectors.astype(np.float64))
    signs = np.sign(np.sum(ours * theirs, axis=0))
    np.testing.assert_allclose(ours * signs, theirs * np.sqrt(300 / 299), rtol=1e-3, atol=1e-3)


def test_full_pca_and_zca_give_the_same_cosines_and_weight_one_only_centres(vectors):
    scores = [cosines(WhitenedCosine(Whitening(k).fit(vectors)), vectors) for k in ("pca", "zca")]
    np.testing.assert_allclose(*scores, atol=1e-5)
    only_mean = cosines(WhitenedCosine(Whitening(shrinkage=1.0).fit(vectors)), vectors)
    np.testing.assert_allclose(only_mean, cosines(Cosine(True).fit(vectors), vectors), atol=1e-5)
    assert np.abs(scores[0] - only_mean).max() > 0.1


def test_crops_are_whitened_one_by_one(vectors):
    backend = WhitenedCosine(Whitening().fit(vectors))
    crops = vectors[:12].reshape(4, 3, 5)
    found = cosines(backend, crops)
    pairs = cosines(backend, vectors[:12]).reshape(4, 3, 4, 3)
    np.testing.assert_allclose(found, pairs.mean(axis=(1, 3)), atol=1e-5)


def test_it_is_kept_in_a_file(vectors, tmp_path):
    fitted = Whitening("pca", 0.2, 4).fit(vectors)
    fitted.save(tmp_path / "w")
    back = Whitening.load(tmp_path / "w")
    assert back.settings() == {"kind": "pca", "shrinkage": 0.2, "dim": 4}
    np.testing.assert_array_equal(back.transform(vectors), fitted.transform(vectors))


@pytest.mark.parametrize(
    ("settings", "rows", "words"),
    [
        (("lda",), 300, "'lda' is unknown: pca, zca"),
        (("zca", 1.5), 300, "--whiten-shrinkage"),
        (("zca", 0.0), 4, "fewer than 5 directions.*larger --whiten-shrinkage"),
        (("zca", 0.5), 1, "at least 2"),
        (("zca", 0.1, 3), 300, "--whiten-dim 3.*zca keeps all"),
        (("pca", 0.1, 6), 300, "--whiten-dim 6.*pca keeps 1 to 5"),
    ],
)
def test_what_cannot_be_learned_is_refused(vectors, settings, rows, words):
    with pytest.raises(InputError, match=words):
        Whitening(*settings).fit(vectors[:rows])


def test_broken_and_equal_vectors_and_other_dimensions_are_refused(vectors):
    with pytest.raises(InputError, match="finite"):
        Whitening().fit(np.where(np.arange(5) == 2, np.nan, vectors))
    with pytest.raises(InputError, match="fewer than 5 directions"):
        Whitening().fit(np.ones((9, 5)))
    with pytest.raises(InputError, match="same model"):
        WhitenedCosine(Whitening().fit(vectors)).prepare(["a"], vectors[:1, :4])


def test_the_program_learns_from_embeddings(vectors, tmp_path, capsys):
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as out:
        for number, vector in enumerate(vectors):
            out.write(f"u{number}", vector)
    words = ["--embeddings", f"scp:{tmp_path}/e.scp", "--out", str(tmp_path / "w")]
    whiten.main([*words, "--whiten-kind", "pca", "--whiten-dim", "3"])
    assert "300 utterances, 5 to 3 dimensions" in capsys.readouterr().out
    back = Whitening.load(tmp_path / "w")
    expected = Whitening("pca", 0.1, 3).fit(vectors).transform(vectors)
    np.testing.assert_array_equal(back.transform(vectors), expected)
    assert back.learned_from_ == {"embeddings": f"scp:{tmp_path}/e.scp"}
