"""LDA and PLDA against scipy's densities, scikit-learn, a loop over speakers and known truths."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sv.errors import InputError
from sv.scoring import plda as plda_module
from sv.scoring import two_covariance
from sv.scoring.pairs import Sides, score_matrix, score_sides
from sv.scoring.plda import LDA, PLDA
from sv.scoring.two_covariance import diagonalise, fit_two_covariance, group


def covariance(generator, dim, scale):
    factor = generator.standard_normal((dim, dim)) * scale
    return factor @ factor.T + 0.2 * scale**2 * np.eye(dim)


def make(speakers=40, dim=4, seed=0, scale=1.5):
    """Vectors, labels and the truth; speakers have one to eight utterances."""
    generator = np.random.default_rng(seed)
    mean, between = generator.standard_normal(dim), covariance(generator, dim, scale)
    within = covariance(generator, dim, 1.0)
    labels = np.repeat(np.arange(speakers), generator.integers(1, 9, speakers))
    centres = generator.multivariate_normal(mean, between, speakers)
    noise = generator.multivariate_normal(np.zeros(dim), within, len(labels))
    order = generator.permutation(len(labels))
    return (centres[labels] + noise)[order], labels[order], (mean, between, within)


def joint_log_density(vectors, labels, mean, between, within):
    """The whole Gaussian of each speaker's utterances, written out."""
    total = 0.0
    for label in np.unique(labels):
        x = vectors[labels == label]
        size = len(x)
        full = np.kron(np.ones((size, size)), between) + np.kron(np.eye(size), within)
        total += multivariate_normal.logpdf(x.ravel(), np.tile(mean, size), full)
    return total


def naive_step(vectors, labels, mean, between, within):
    """One iteration of EM with matrix inverses, speaker by speaker."""
    speakers, seconds, noise = [], np.zeros_like(between), np.zeros_like(within)
    for label in np.unique(labels):
        x = vectors[labels == label]
        precision = np.linalg.inv(between) + len(x) * np.linalg.inv(within)
        right = np.linalg.inv(between) @ mean + np.linalg.inv(within) @ x.sum(axis=0)
        posterior, spread = np.linalg.solve(precision, right), np.linalg.inv(precision)
        speakers.append(posterior)
        seconds += spread + np.outer(posterior, posterior)
        noise += (x - posterior).T @ (x - posterior) + len(x) * spread
    new = np.mean(speakers, axis=0)
    return new, seconds / len(speakers) - np.outer(new, new), noise / len(vectors)


def test_em_is_the_naive_loop_and_its_likelihood_the_joint_density():
    vectors, labels, _ = make()
    groups = group(vectors, labels)
    model = groups.mean, groups.between, groups.within
    fitted = fit_two_covariance(groups, 4)
    for iteration in range(4):
        expected = joint_log_density(vectors, labels, *model) / len(vectors)
        assert fitted.log_likelihoods[iteration] == pytest.approx(expected, rel=1e-9)
        model = naive_step(vectors, labels, *model)
    for found, expected in zip(fitted, model, strict=False):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_the_likelihood_never_falls_and_the_truth_is_found():
    vectors, labels, (mean, between, within) = make(speakers=4000, dim=3)
    fitted = fit_two_covariance(group(vectors, labels), 20)
    assert np.all(np.diff(fitted.log_likelihoods) > -1e-12)
    np.testing.assert_allclose(fitted.mean, mean, atol=0.2)
    np.testing.assert_allclose(fitted.between, between, atol=0.08 * np.abs(between).max())
    np.testing.assert_allclose(fitted.within, within, atol=0.05 * np.abs(within).max())


@pytest.mark.parametrize("block", [5, 1 << 16])
def test_moments_are_those_of_the_textbook(block, monkeypatch):
    monkeypatch.setattr(two_covariance, "BLOCK", block)
    vectors, labels, _ = make(speakers=6)
    groups = group(vectors, labels)
    within, between = np.zeros((4, 4)), np.zeros((4, 4))
    for label in np.unique(labels):
        x = vectors[labels == label]
        within += (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
        gap = x.mean(axis=0) - vectors.mean(axis=0)
        between += len(x) * np.outer(gap, gap)
    np.testing.assert_allclose(groups.within, within / (len(vectors) - 6), atol=1e-12)
    np.testing.assert_allclose(groups.between, between / len(vectors), atol=1e-12)


def test_diagonalisation():
    generator = np.random.default_rng(1)
    between, within = covariance(generator, 5, 1.0), covariance(generator, 5, 2.0)
    basis, psi = diagonalise(between, within)
    np.testing.assert_allclose(basis.T @ within @ basis, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(basis.T @ between @ basis, np.diag(psi), atol=1e-9)
    assert np.all(np.diff(psi) <= 0)


def test_lda_spans_the_directions_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(plda_module, "BLOCK", 7)
    vectors, labels, _ = make(speakers=30, dim=6)
    keep = np.bincount(labels)[labels] > 1  # scikit-learn warns of single utterances
    vectors, labels = vectors[keep], labels[keep]
    ours = LDA(3).fit(vectors, labels).transform(vectors)
    peer = LinearDiscriminantAnalysis(solver="eigen", n_components=3).fit(vectors, labels)
    theirs = peer.transform(vectors)
    for one, other in zip(ours.T, theirs.T, strict=True):
        assert abs(np.corrcoef(one, other)[0, 1]) > 1 - 1e-9


def test_scores_are_log_likelihood_ratios_of_the_gaussians():
    vectors, labels, _ = make(speakers=60, dim=5)
    plda = PLDA(lda_dim=4, iterations=5).fit(vectors, labels)
    prepared = plda.prepare([str(n) for n in range(len(vectors))], vectors)
    left, right = np.arange(0, 20), np.arange(20, 40)
    scores = score_sides(Sides(prepared, prepared, left, right))
    z = plda.transform(vectors)
    between, single = np.diag(plda.psi_), np.diag(plda.psi_ + 1)
    pair = np.block([[single, between], [between, single]])
    for score, one, other in zip(scores, z[left], z[right], strict=True):
        expected = (
            multivariate_normal.logpdf(np.concatenate([one, other]), cov=pair)
            - multivariate_normal.logpdf(one, cov=single)
            - multivariate_normal.logpdf(other, cov=single)
        )
        assert score == pytest.approx(expected, abs=1e-4)
    matrix = score_matrix(prepared, prepared)
    np.testing.assert_allclose(matrix[left, right], scores, atol=1e-4)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)


def test_plda_beats_the_cosine_where_the_nuisance_is_strong():
    from sv.scoring import metrics
    from sv.scoring.cosine import Cosine

    generator = np.random.default_rng(3)

    def draw(speakers):
        labels = np.repeat(np.arange(speakers), 5)
        voice = generator.standard_normal((speakers, 20)) * np.linspace(0.2, 2, 20)
        channel = generator.standard_normal((len(labels), 20)) * np.linspace(4, 0.3, 20)
        return voice[labels] + channel, labels

    train, labels = draw(200)
    test, truth = draw(40)
    same = truth[:, None] == truth[None, :]
    upper = np.triu_indices(len(test), 1)
    ids = [str(n) for n in range(len(test))]
    eers = []
    for backend in (Cosine().fit(train), PLDA(10, 10).fit(train, labels)):
        prepared = backend.prepare(ids, test.astype(np.float32))
        eers.append(metrics.eer(score_matrix(prepared, prepared)[upper], same[upper]))
    assert eers[1] < 0.5 * eers[0]


def test_saved_and_loaded_it_scores_the_same(tmp_path):
    vectors, labels, _ = make()
    plda = PLDA(3, 4).fit(vectors, labels, "clusters")
    plda.save(tmp_path / "a" / "plda.safetensors")
    back = PLDA.load(tmp_path / "a" / "plda.safetensors")
    assert back.settings() == {"lda_dim": 3, "iterations": 4} and back.labels_ == "clusters"
    np.testing.assert_array_equal(back.transform(vectors), plda.transform(vectors))


def test_a_file_that_is_no_model_of_this_kind(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        PLDA.load(tmp_path / "none")
    for content in (b"", b"not a model", b"\x80\x04K\x01."):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match="not a file of a back-end"):
            PLDA.load(tmp_path / "bad")
    vectors, labels, _ = make()
    LDA(2).fit(vectors, labels).save(tmp_path / "lda")
    with pytest.raises(InputError, match="holds LDA, not PLDA"):
        PLDA.load(tmp_path / "lda")
    from safetensors.numpy import save_file

    save_file(
        {"x": np.ones(1)}, tmp_path / "other", {"sv": '{"kind": "PLDA", "settings": {"z": 1}}'}
    )
    with pytest.raises(InputError, match="does not fit this version"):
        PLDA.load(tmp_path / "other")
    with pytest.raises(ValueError, match="not fitted"):
        PLDA().save(tmp_path / "empty")


@pytest.mark.parametrize(
    ("labels", "dim", "words"),
    [
        (np.zeros(20), 2, "20 embeddings of 1 speakers"),
        (np.arange(20), 2, "20 embeddings of 20 speakers"),
        (np.arange(20) // 5, 4, "allow 1 to 3"),
        (np.arange(20) // 2, 9, "allow 1 to 8"),
        (np.arange(20) // 2, 0, "allow 1 to"),
    ],
)
def test_labels_that_do_not_suffice(labels, dim, words):
    vectors = np.random.default_rng(0).standard_normal((20, 8))
    with pytest.raises(InputError, match=words):
        PLDA(dim).fit(vectors, labels)


def test_fewer_utterances_than_dimensions():
    vectors = np.random.default_rng(0).standard_normal((12, 30))
    with pytest.raises(InputError, match="singular in 30 dimensions"):
        PLDA(3).fit(vectors, np.arange(12) // 2)


def test_other_dimensions_and_broken_embeddings():
    vectors, labels, _ = make()
    plda = PLDA(3, 2).fit(vectors, labels)
    with pytest.raises(InputError, match="same model"):
        plda.prepare(["a"], vectors[:1, :3])
    with pytest.raises(InputError, match="1 of 2 embeddings.*: b;"):
        plda.prepare(["a", "b"], np.stack([vectors[0], vectors[0] * np.nan]))
