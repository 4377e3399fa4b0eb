"""Batches of clusters: who is in them, resuming, and the draws."""

import numpy as np
import pytest

from sv.errors import InputError
from sv.sampling.cluster_batches import ClusterBatches
from sv.sampling.references import check_clusters

CLUSTERS = np.array([0, 2, 2, 0, 3, 2, 2, 0])  # 4 is alone


def make(clusters=CLUSTERS):
    batches = ClusterBatches(
        8, 4, seed=1, crops=3, recluster=lambda network, epoch: clusters, refresh_every=2
    )
    before = batches(1, 0)
    batches.refresh(None, 2)
    return batches, before


def test_before_the_first_clusters_an_item_is_one_utterance():
    batches, before = make()
    assert before.shape == (4,) and batches(2, 0).shape == (3, 4) and batches.steps == 2


def test_further_crops_are_of_other_members_drawn_alike():
    batches, _ = make()
    counts = np.zeros((8, 8))
    for epoch in range(600):
        for step in range(2):
            first, *others = batches(epoch, step)
            assert (CLUSTERS[others] == CLUSTERS[first]).all()
            for row in others:
                np.add.at(counts, (first, row), 1)
    assert counts[4, 4] == 1200  # who is alone stays
    for one in (0, 1, 2, 3, 5, 6, 7):
        mates = [n for n in range(8) if CLUSTERS[n] == CLUSTERS[one] and n != one]
        assert counts[one].sum() == 1200 == counts[one, mates].sum()
        assert np.abs(counts[one, mates] * len(mates) / 1200 - 1).max() < 0.15
    assert batches.figures(0) == {"clustered": 7 / 8}


def test_a_restored_one_gives_the_same_batches():
    batches, _ = make()
    other, _ = make(np.arange(8))
    other.load_state_dict(batches.state_dict())
    assert (other(5, 1) == batches(5, 1)).all()
    other.load_state_dict({})
    assert other(5, 1).shape == (4,)


def test_every_utterance_is_the_first_of_an_item_once_an_epoch():
    batches, _ = make()
    assert sorted(np.concatenate([batches(3, step)[0] for step in range(2)])) == list(range(8))


def test_as_many_clusters_as_utterances_are_refused():
    with pytest.raises(InputError, match="utterance_clusters is 8 but"):
        check_clusters("method.utterance_clusters", 8, 8)
