"""Merging against scipy on all points, neighbours against a loop, the choice of K, agreement."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from sv.cluster import agglomerate, choose_k, kmeans, merge, nearest_clusters, neighbours
from sv.cluster.agreement import agreement
from sv.cluster.number import grid, silhouette
from sv.errors import InputError


def unit(count, dim, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("m", [1, 3, 20, 40])
@pytest.mark.parametrize(("method", "metric"), [("average", "cosine"), ("ward", "euclidean")])
def test_merging_equals_scipy_on_the_points_themselves(method, metric, m, monkeypatch):
    monkeypatch.setattr(agglomerate, "BLOCK", 16)
    centroids = unit(60, 6)
    sizes = np.random.default_rng(1).integers(0, 9, 60)
    sizes[:3] = [0, 1, 8]
    points = np.repeat(np.arange(60), sizes)
    groups = merge(centroids, sizes, m, linkage=method)
    tree = linkage(centroids[points].astype(np.float64), method, metric)
    expected = fcluster(tree, m, "maxclust")
    assert adjusted_rand_score(expected, groups[points]) == 1
    assert sorted(set(groups)) == list(range(m)) and groups.dtype == np.int64
    assert groups[0] == 0 and groups[0] in groups[points]  # one without points joins another


def test_merging_equal_centroids():
    centroids = np.repeat(unit(3, 4), 5, axis=0)
    groups = merge(centroids, np.ones(15, int), 3)
    np.testing.assert_array_equal(groups, np.repeat(np.arange(3), 5))


def test_kmeans_and_merging_find_speakers_with_recordings_apart():
    generator = np.random.default_rng(0)
    speakers = np.repeat(np.arange(20), 60)
    channels = speakers * 3 + np.tile(np.arange(3), 400)
    x = generator.standard_normal((20, 48))[speakers]
    x = x + 0.5 * generator.standard_normal((60, 48))[channels]
    x = (x + 0.3 * generator.standard_normal(x.shape)).astype(np.float32)
    found = kmeans(x, 120)
    merged = merge(found.centroids * found.closeness[:, None], found.sizes, 20)[found.assignments]
    before, after = agreement(found.assignments, speakers), agreement(merged, speakers)
    assert before["purity"] == after["purity"] == 1
    assert before["speaker_recall"] < 0.5 and after["nmi"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("m", "sizes", "options", "message"),
    [
        (5, [1] * 5, {}, "merging 5 clusters to 5: choose a number from 1 to 4"),
        (0, [1] * 5, {}, "merging 5 clusters to 0"),
        (3, [1, 2, 0, 0, 0], {}, "only 2 of the 5 clusters have points"),
        (2, [1] * 5, {"linkage": "single"}, "linkage 'single' is unknown"),
    ],
)
def test_merging_refuses(m, sizes, options, message):
    with pytest.raises(InputError, match=message):
        merge(unit(5, 4), sizes, m, **options)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("m", [1, 4, 39])
def test_nearest_clusters_equal_a_loop(spherical, m, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 16)
    centroids = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32) + 2
    found = nearest_clusters(centroids, m, spherical=spherical)
    for cluster, row in enumerate(centroids.astype(np.float64)):
        if spherical:
            lengths = np.linalg.norm(centroids, axis=1) * np.linalg.norm(row)
            distance = -(centroids @ row) / lengths
        else:
            distance = np.linalg.norm(centroids - row, axis=1)
        order = [other for other in np.argsort(distance) if other != cluster]
        assert found[cluster].tolist() == order[:m]
    tensor = nearest_clusters(torch.from_numpy(centroids), m, spherical=spherical)
    assert torch.is_tensor(tensor) and tensor.tolist() == found.tolist()


@pytest.mark.parametrize("m", [0, 5])
def test_nearest_clusters_refuses(m):
    with pytest.raises(InputError, match="m must be between 1 and 4"):
        nearest_clusters(unit(5, 4), m)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("true", [6, 25])
def test_the_choice_of_k_is_near_the_truth(true, spherical):
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((true, 24))
    x = np.repeat(centres, 1200 // true, axis=0)
    x = (x + 0.4 * generator.standard_normal(x.shape)).astype(np.float32)
    shown = []
    k, scores = choose_k(x, spherical=spherical, report=lambda *row: shown.append(row))
    assert true / 1.3 < k < true * 1.3
    assert scores[k] == max(scores.values()) and dict(shown) == scores
    assert max(scores) < 300  # the search ended before the grid did
    assert choose_k(x, [true // 2, true, 3 * true], spherical=spherical)[0] == true


def test_grid_for_a_million():
    numbers = grid(1_000_000)
    assert numbers[0] == 250 and 170_000 < numbers[-1] <= 250_000
    assert all(1.3 < b / a < 1.5 for a, b in zip(numbers, numbers[1:], strict=False))


def test_silhouette_equals_its_definition():
    x, centroids = unit(50, 6), unit(7, 6, seed=1)
    for spherical in (True, False):
        if spherical:
            distances = 1 - x.astype(np.float64) @ centroids.T
        else:
            distances = np.linalg.norm(x[:, None].astype(np.float64) - centroids, axis=2)
        nearest, second = np.sort(distances, axis=1)[:, :2].T
        expected = ((second - nearest) / second).mean()
        assert silhouette(x, centroids, spherical=spherical) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("candidates", [[1, 4], [4, 100], []])
def test_the_choice_of_k_refuses(candidates):
    with pytest.raises(InputError, match="must be between 2 and"):
        choose_k(unit(100, 4), candidates)


def test_a_bad_row_is_named_although_a_tenth_is_held_out():
    x = unit(100, 4)
    x[60] = np.nan
    with pytest.raises(InputError, match="utt60"):
        choose_k(x, [4], names=[f"utt{i}" for i in range(100)])


def test_agreement_equals_counting():
    generator = np.random.default_rng(0)
    speakers = np.array([f"s{i}" for i in generator.integers(0, 5, 80)])
    clusters = generator.integers(0, 30, 80) * 7
    figures = agreement(clusters, speakers)
    right, company, pure, recalled = [], 0, 0, 0
    for i in range(80):
        others = [j for j in range(80) if clusters[j] == clusters[i] and j != i]
        company += bool(others)
        if others:
            right.append(np.mean([speakers[j] == speakers[i] for j in others]))
    for cluster in set(clusters):
        pure += max(np.unique(speakers[clusters == cluster], return_counts=True)[1])
    for speaker in set(speakers):
        recalled += max(np.unique(clusters[speakers == speaker], return_counts=True)[1])
    assert figures["speaker_accuracy"] == pytest.approx(np.mean(right))
    assert figures["coverage"] == company / 80
    assert (figures["purity"], figures["speaker_recall"]) == (pure / 80, recalled / 80)
    assert figures["nmi"] == pytest.approx(normalized_mutual_info_score(speakers, clusters))
    alone = agreement(np.arange(80), speakers)
    assert alone["purity"] == 1 and alone["coverage"] == alone["speaker_accuracy"] == 0
