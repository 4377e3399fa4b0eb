"""Batches of distinct speakers and CHNS: composition, distribution, reach, processes, resuming."""

from collections import Counter

import numpy as np
import pytest

from sv.errors import InputError
from sv.sampling.chns import SpeakerBatches, SpeakerClusters, two_of_each

SIZES = [40, 25, 15, 10, 10]
"""Speakers of the clusters; 100 in all, in an order that tells nothing."""


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(7)
    assignments = rng.permutation(np.repeat(np.arange(5), SIZES))
    angles = np.array([0.0, 0.1, 0.5, 1.0, 3.0])  # on a circle: 0 and 1 are alike, 4 is far off
    return SpeakerClusters(assignments, np.stack([np.cos(angles), np.sin(angles)], axis=1))


@pytest.fixture(scope="module")
def labels():
    """100 speakers with 1 to 9 utterances, in random order."""
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 10, 100)
    return rng.permutation(np.repeat(np.arange(100), counts))


def batches(labels, size=20, **more):
    return SpeakerBatches(labels, size, seed=3, **more)


def speakers_of(labels, made, steps, epoch=0):
    return [labels[made(epoch, step)[0]] for step in range(steps)]


@pytest.mark.parametrize("ratio", [0.0, 0.33, 0.5, 1.0])
@pytest.mark.parametrize("further", ["random", "similar"])
def test_two_utterances_of_distinct_speakers(labels, clusters, ratio, further):
    made = batches(labels, clusters=clusters, ratio=ratio, further=further)
    counts = np.bincount(labels)
    for step in range(50):
        first, second = made(0, step)
        assert (labels[first] == labels[second]).all()
        assert len(set(labels[first])) == 20
        assert ((first == second) == (counts[labels[first]] == 1)).all()


def test_a_batch_is_a_pure_function_of_seed_epoch_and_step(labels, clusters):
    made = batches(labels, clusters=clusters, ratio=0.5)
    before = [made(0, 0), made(1, 0), made(0, 1)]
    again = batches(labels, clusters=clusters, ratio=0.5)
    np.testing.assert_array_equal(before, [again(0, 0), again(1, 0), again(0, 1)])
    other = SpeakerBatches(labels, 20, seed=4, clusters=clusters, ratio=0.5)
    for different in (*before[1:], other(0, 0)):
        assert (before[0] != different).any()


@pytest.mark.parametrize("ratio, size, hard", [(0.33, 20, 6), (0.5, 10, 5), (0.29, 100, 29)])
def test_the_number_of_hard_speakers_is_rounded_down(labels, clusters, ratio, size, hard):
    assert batches(labels, size, clusters=clusters, ratio=ratio).hard == hard


def expected_shares(count, size):
    """Return the expected share of each cluster in a batch, when the first cluster is enough.

    One cluster of five gives ``count`` speakers; the rest comes evenly from the others.
    """
    sizes = np.array(SIZES)
    expected = np.zeros(5)
    for first in range(5):
        left = sizes - np.eye(5, dtype=int)[first] * count
        expected += np.eye(5)[first] * count + (size - count) * left / left.sum()
    return expected / 5 / size


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_composition_follows_ratio_and_cluster_sizes(labels, clusters, ratio):
    """Fixed seed; five standard errors of 4,000 batches are below the tolerance."""
    made, hard = batches(labels, clusters=clusters, ratio=ratio), int(20 * ratio)
    most, shares = Counter(), np.zeros(5)
    for chosen in speakers_of(labels, made, 4000):
        in_batch = np.bincount(clusters.assignments[chosen], minlength=5)
        assert in_batch.max() >= hard
        most[int(in_batch.argmax())] += 1
        shares += in_batch / 20 / 4000
    np.testing.assert_allclose(shares, expected_shares(hard, 20), atol=0.012)
    if ratio == 0.5:  # half of a batch from one cluster: each is it as often as the others
        assert min(most[cluster] for cluster in (1, 2, 3, 4)) > 600


def test_further_clusters_are_taken_whole_until_there_are_enough(labels, clusters):
    made = batches(labels, 60, clusters=clusters, ratio=1.0)
    for chosen in speakers_of(labels, made, 100):
        in_batch = np.bincount(clusters.assignments[chosen], minlength=5)
        partly = (in_batch > 0) & (in_batch < SIZES)
        assert in_batch.sum() == 60 and partly.sum() <= 1


def test_the_most_similar_clusters_come_first(labels, clusters):
    """With 20 hard speakers, a cluster of 15 needs one more, of 10 one or two."""
    made = batches(labels, clusters=clusters, ratio=1.0, further="similar")
    found = set()
    for chosen in speakers_of(labels, made, 200):
        found.add(tuple(np.flatnonzero(np.bincount(clusters.assignments[chosen], minlength=5))))
    assert found == {(0,), (1,), (1, 2), (2, 3), (3, 4)}
    # 2 (at 0.5) is nearest to 1 (0.1), 3 (1.0) to 2, 4 (3.0) to 3: no pair that is not so


def test_ratio_zero_gives_the_batches_without_clusters(labels, clusters):
    plain, zero = batches(labels), batches(labels, clusters=clusters, ratio=0.0)
    for step in range(20):
        np.testing.assert_array_equal(plain(2, step), zero(2, step))


def test_random_batches_draw_speakers_evenly_and_independently(labels):
    """Of 100 speakers, 20 a batch: each in 1/5 of them, each pair in 20·19/(100·99)."""
    together = np.zeros((100, 100))
    for chosen in speakers_of(labels, batches(labels), 4000):
        together[np.ix_(chosen, chosen)] += 1 / 4000
    # Deviations are 0.0063 and 0.0031; 100 and 4,950 of them.
    np.testing.assert_allclose(np.diag(together), 0.2, atol=0.027)
    pairs = together[np.triu_indices(100, 1)]
    np.testing.assert_allclose(pairs, 20 * 19 / (100 * 99), atol=0.015)


def test_ratio_one_with_one_cluster_gives_only_its_speakers(labels):
    """Clusters of 25 or more speakers and batches of 20: no batch mixes two."""
    assignments = np.arange(100) % 4
    made = batches(labels, clusters=SpeakerClusters(assignments), ratio=1.0)
    seen = {tuple(set(assignments[chosen])) for chosen in speakers_of(labels, made, 100)}
    assert seen == {(0,), (1,), (2,), (3,)}


def test_every_utterance_is_reached(labels, clusters):
    made = batches(labels, clusters=clusters, ratio=1.0)
    reached = {int(u) for step in range(500) for u in made(0, step).reshape(-1)}
    assert reached == set(range(len(labels)))


def test_two_different_utterances_are_drawn_evenly():
    pairs = two_of_each(np.full(12_000, 3), np.random.default_rng(0)).T
    counts = Counter(map(tuple, pairs.tolist()))
    assert set(counts) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    assert all(1800 < count < 2200 for count in counts.values())
    assert two_of_each(np.array([1]), np.random.default_rng(0)).tolist() == [[0], [0]]


def test_what_cannot_work_is_refused(labels, clusters):
    with pytest.raises(InputError, match="batch_size is 101 but the training set has 100 speakers"):
        batches(labels, 101)
    with pytest.raises(InputError, match="no clusters of speakers: give --clusters"):
        batches(labels, ratio=0.5)
    with pytest.raises(InputError, match="clusters have 10 speakers, the labels 100"):
        batches(labels, ratio=0.5, clusters=SpeakerClusters(np.arange(10)))
    with pytest.raises(InputError, match="similar but the clusters have no centroids"):
        batches(labels, ratio=1, further="similar", clusters=SpeakerClusters(np.arange(100) % 9))


def test_figures_of_an_epoch(labels):
    """All speakers in two clusters of 50: of 19 others in a random batch, 49 of 99 are alike."""
    clusters = SpeakerClusters(np.arange(100) // 50)
    figures = batches(labels, clusters=clusters, samples=40 * 200).figures(0)
    assert figures["speakers_seen"] == 100
    assert figures["same_cluster"] == pytest.approx(49 / 99, abs=0.01)
    hard = batches(labels, clusters=clusters, ratio=1.0, samples=40 * 3)
    assert hard.steps == 3 and hard.figures(0)["same_cluster"] == 1.0
    assert hard.figures(0)["speakers_seen"] <= 60
