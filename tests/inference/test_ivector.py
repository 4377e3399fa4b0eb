"""I-vectors against their equations in loops, EM that only rises, and cepstra."""

import numpy as np
import pytest

from sv.errors import InputError
from sv.inference.cepstra import cepstra, moments, normalised_frames, voiced
from sv.inference.ivector import Background, IVectors, fit_background, fit_loadings, infer


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def background(rng, gaussians=3, dim=4):
    weights = rng.dirichlet(np.ones(gaussians))
    return Background(
        weights, 2 * rng.standard_normal((gaussians, dim)), rng.uniform(0.5, 2, (gaussians, dim))
    )


def test_statistics_are_those_of_the_equations(rng):
    model, frames = background(rng), rng.standard_normal((20, 4))
    counts, firsts = np.zeros(3), np.zeros((3, 4))
    for frame in frames:
        density = [
            w * np.prod(np.exp(-((frame - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v))
            for w, m, v in zip(model.weights, model.means, model.variances, strict=True)
        ]
        for c, value in enumerate(density):
            counts[c] += value / sum(density)
            white = (frame - model.means[c]) / np.sqrt(model.variances[c])
            firsts[c] += value / sum(density) * white
    found = model.statistics(frames)
    assert np.allclose(found[0], counts) and np.allclose(found[1], firsts)


def test_an_ivector_is_the_mean_of_the_posterior(rng):
    loadings, count, first = (rng.standard_normal(size) for size in ((3, 4, 2), 3, (3, 4)))
    count = np.abs(count)
    precision, right = np.eye(2), np.zeros(2)
    for c in range(3):
        precision += count[c] * loadings[c].T @ loadings[c]
        right += loadings[c].T @ first[c]
    means, covariances, _ = infer(loadings, np.stack([2 * count, count]), np.stack([first, first]))
    assert np.allclose(means[1], np.linalg.solve(precision, right))
    assert np.allclose(covariances[1] @ precision, np.eye(2)) and not np.allclose(*means)


def test_em_never_lowers_the_likelihood(rng):
    counts = rng.uniform(1, 20, (30, 3))
    firsts = 3 * rng.standard_normal((30, 3, 4))
    gains = []
    fit_loadings(counts, firsts, 2, 8, rng, gains.append)
    assert all(after >= before - 1e-6 for before, after in zip(gains, gains[1:], strict=False))
    assert gains[-1] > gains[0] + 0.5


def test_the_mixture_finds_two_clouds(rng):
    frames = np.concatenate([rng.standard_normal((300, 2)) - 6, rng.standard_normal((100, 2)) + 6])
    model = fit_background(frames, 2, 20, rng)
    order = np.argsort(model.means[:, 0])
    assert np.allclose(model.means[order], [[-6, -6], [6, 6]], atol=0.4)
    assert np.allclose(model.weights[order], [0.75, 0.25], atol=0.02)
    with pytest.raises(InputError, match="fewer --gaussians"):
        fit_background(frames, 64, 1, rng)


def test_utterances_of_a_voice_are_alike(rng):
    voices = 1.5 * rng.standard_normal((8, 2, 5))  # a shift of each of two sounds
    sounds = np.array([[-4.0] * 5, [4.0] * 5])

    def utterance(voice):
        which = rng.integers(2, size=150)
        return sounds[which] + voices[voice][which] + rng.standard_normal((150, 5))

    model = IVectors.fit([utterance(n % 8) for n in range(80)], gaussians=2, rank=6)
    one, two = (np.stack([model.embed(utterance(v)) for v in range(8)]) for _ in range(2))
    one, two = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, two))
    cosines = one @ two.T
    assert (cosines.argmax(axis=1) == np.arange(8)).all()


def test_cepstra_leave_out_the_level_and_frames_their_mean(rng):
    features = rng.standard_normal((50, 24)) + np.linspace(0, 9, 50)[:, None]
    assert np.allclose(cepstra(features, 12), cepstra(features + 3.0, 12))
    assert cepstra(features, 12).shape == (50, 12)
    assert voiced(features)[-10:].all() and not voiced(features)[:10].any()
    frames = normalised_frames(features, 6)
    assert frames.shape == (voiced(features).sum(), 12) and np.allclose(frames.mean(axis=0), 0)
    assert np.allclose(frames, normalised_frames(features + np.arange(24) / 5, 6), atol=1e-6)
    assert moments(features, False).shape == (24,)
    assert np.allclose(moments(features, True)[24:], features.std(axis=0), rtol=1e-4)
