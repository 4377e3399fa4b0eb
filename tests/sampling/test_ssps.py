"""SSPS: the sampled distribution, what is remembered and when, and gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.errors import InputError
from sv.sampling.ssps import SSPS, SSPSConfig

CLUSTERS, MEMBERS, DIM = 4, 5, 8
N = CLUSTERS * MEMBERS


def cluster_of(utterance):
    return utterance // MEMBERS


def references():
    """Clusters around directions whose similarities rank the other clusters 1 > 2 > 3 for 0."""
    angles = torch.tensor([0.0, 0.5, 1.2, 2.4])
    centres = torch.zeros(CLUSTERS, DIM)
    centres[:, 0], centres[:, 1] = angles.cos(), angles.sin()
    noise = torch.randn(N, DIM, generator=torch.Generator().manual_seed(1))
    return F.normalize(centres.repeat_interleave(MEMBERS, 0) + 0.02 * noise)


def filled(order=None, queue=N, **options):
    """SSPS after one epoch of filling, in batches of 5 utterances in the given order."""
    config = SSPSConfig(enabled=True, clusters=CLUSTERS, queue=queue, **options)
    ssps = SSPS(config, N, DIM, (3,))
    vectors, order = references(), torch.arange(N) if order is None else order
    ssps.start_epoch(0)
    for batch in order.split(5):
        positives = batch[:, None].float().expand(-1, 3)  # a positive tells whose it is
        assert torch.equal(ssps.substitute(positives, batch, vectors[batch]), positives)
    ssps.start_epoch(1)
    return ssps


def draws(ssps, anchor, times=4000):
    """Utterances whose positives an anchor gets; a batch repeats it, only to draw many."""
    utterances = torch.full((times,), anchor)
    slots = ssps.sample(utterances, references()[utterances])
    return torch.where(slots >= 0, ssps.queued[slots.clamp_min(0)], -1)


def check_uniform(drawn, expected):
    counts = np.bincount(drawn.numpy(), minlength=N)
    assert set(np.flatnonzero(counts)) == set(expected)
    share = counts[sorted(expected)] / len(drawn)
    sigma = np.sqrt(share.mean() * (1 - share.mean()) / len(drawn))
    assert np.abs(share - 1 / len(expected)).max() < 5 * sigma + 1e-9


def test_own_cluster_uniform_without_the_own_entry():
    check_uniform(draws(filled(nearest=0), 7), {5, 6, 8, 9})


def test_one_nearest_cluster():
    check_uniform(draws(filled(nearest=1), 2), range(5, 10))


def test_m_nearest_clusters_are_drawn_alike_and_never_the_own():
    check_uniform(draws(filled(nearest=2), 2), [*range(5, 10), *range(10, 15)])
    check_uniform(draws(filled(nearest=3), 12), set(range(20)) - set(range(10, 15)))


def test_exponential_prefers_the_nearest():
    drawn = draws(filled(nearest=2, sampling="exponential"), 2)
    nearest = (drawn // MEMBERS == 1).float().mean().item()
    assert nearest == pytest.approx(1 / (1 + np.exp(-1)), abs=0.03)


def test_only_members_that_are_in_the_queue_now_and_none_else_none():
    order = torch.cat([torch.arange(5, 20), torch.arange(5)])  # cluster 0 last
    ssps = filled(order, queue=7, nearest=0)  # holds 0–4 and 18, 19
    check_uniform(draws(ssps, 16), {18, 19})
    check_uniform(draws(ssps, 18), {19})
    assert (draws(ssps, 7) == -1).all()  # of cluster 1 nobody is left
    assert set(draws(ssps, 0).tolist()) == {1, 2, 3, 4}


def test_sampling_equals_a_loop_that_searches_the_queue():
    ssps = filled(torch.randperm(N, generator=torch.Generator().manual_seed(3)), 13, nearest=1)
    batch = torch.arange(N)
    slots = ssps.sample(batch, references())
    for utterance, slot in zip(batch.tolist(), slots.tolist(), strict=True):
        wanted = ssps.near[ssps.cluster[utterance], 0]
        members = [
            place
            for place, other in enumerate(ssps.queued.tolist())
            if other >= 0 and ssps.cluster[other] == wanted and other != utterance
        ]
        assert slot in members if members else slot == -1


def test_knn_draws_among_the_most_similar_references():
    ssps = filled(neighbours="knn", nearest=3)
    similarity = references() @ references()[8]
    similarity[8] = -2
    check_uniform(draws(ssps, 8), similarity.topk(3).indices.tolist())


def test_true_speakers_uniform_without_the_own_entry():
    config, speakers = SSPSConfig(True, queue=N, neighbours="speakers", nearest=0), torch.arange(N)
    ssps = SSPS(config, N, DIM, (3,), speakers=speakers % 7 + 100)
    ssps.start_epoch(0)
    ssps.substitute(torch.zeros(N, 3), speakers, references())
    assert ssps.start_epoch(1) == {}
    check_uniform(draws(ssps, 8), {1, 15})


def test_mutual_neighbours_alone_are_drawn_if_that_is_asked_for():
    """0 and 1 are each other's nearest; 2 is nearest to 1, but 1 is nearer to 0; 3 to 2."""
    angles = torch.tensor([0.0, 10, 25, 55]).deg2rad()
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    utterances = torch.arange(4)

    def drawn(nearest, mutual):
        config = SSPSConfig(True, queue=4, neighbours="knn", nearest=nearest, mutual=mutual)
        ssps = SSPS(config, 4, 2, (2,))
        for epoch in range(2):
            ssps.start_epoch(epoch)
            if epoch == 0:
                ssps.remember(utterances, vectors, vectors)
        found = [ssps.sample(utterances, vectors) for ssps.steps in range(50)]
        return [set(column.tolist()) for column in torch.stack(found).T]

    assert drawn(1, mutual=False) == [{1}, {0}, {1}, {2}]
    assert drawn(1, mutual=True) == [{1}, {0}, {-1}, {-1}]
    assert drawn(2, mutual=False) == [{1, 2}, {0, 2}, {1, 0}, {2, 1}]
    assert drawn(2, mutual=True) == [{1, 2}, {0, 2}, {1, 0}, {-1}]


def test_centroid_variant_returns_the_unit_centroid_of_the_chosen_cluster():
    config = SSPSConfig(enabled=True, clusters=CLUSTERS, nearest=0, positive="centroid")
    ssps, vectors = SSPS(config, N, DIM, (DIM,)), references()
    ssps.start_epoch(0)
    ssps.substitute(vectors, torch.arange(N), vectors)
    ssps.start_epoch(1)
    mixed = ssps.substitute(vectors, torch.arange(N), vectors)
    for cluster in range(CLUSTERS):
        rows = slice(cluster * MEMBERS, (cluster + 1) * MEMBERS)
        mean = F.normalize(vectors[rows].mean(0), dim=0)
        torch.testing.assert_close(mixed[rows], mean.expand(MEMBERS, -1), atol=2e-3, rtol=0)


def test_a_sampled_positive_has_no_gradient_and_one_that_stays_keeps_it():
    order = torch.cat([torch.arange(5, 20), torch.arange(5)])
    ssps = filled(order, queue=7, nearest=0)
    positives = torch.zeros(2, 3, requires_grad=True)
    utterances = torch.tensor([16, 7])  # finds one; finds none
    mixed = ssps.substitute(positives, utterances, references()[utterances])
    assert mixed[0].unique().item() in (18, 19) and mixed[1].abs().sum() == 0
    mixed.sum().backward()
    assert positives.grad.tolist() == [[0] * 3, [1] * 3]


def test_order_sample_then_enqueue_the_original_positive():
    """A batch must not find its own positives, and the queue must not hold sampled ones."""
    ssps = filled(nearest=0)
    batch = torch.arange(5)
    new = 100.0 + batch[:, None].float().expand(-1, 3)
    mixed = ssps.substitute(new, batch, references()[batch])
    assert (mixed < 100).all()  # all are from before this step
    assert torch.equal(ssps.queue[ssps.slot[batch]], new)  # the originals are remembered
    assert (ssps.queued == 3).sum() == 1  # one entry an utterance, the newest


def test_the_queue_is_first_in_first_out():
    ssps = filled(queue=10)
    assert sorted(ssps.queued.tolist()) == list(range(10, 20))
    assert (ssps.slot[:10] == -1).all()
    ssps.substitute(torch.zeros(3, 3), torch.tensor([0, 1, 2]), references()[:3])
    assert sorted(ssps.queued.tolist()) == [0, 1, 2, *range(13, 20)]  # the oldest three left
    assert ssps.queued[ssps.slot[1]] == 1 and (ssps.slot[10:13] == -1).all()


def test_draws_are_a_function_of_seed_and_step_and_survive_a_checkpoint():
    ssps, again = filled(nearest=1), filled(nearest=1)
    fresh = SSPS(ssps.config, N, DIM, (3,))
    fresh.load_state_dict(ssps.state_dict())
    for other in (again, fresh):
        assert torch.equal(draws(ssps, 4), draws(other, 4))
    before = draws(ssps, 4)
    ssps.remember(torch.tensor([0]), references()[:1], torch.zeros(1, 3))
    assert not torch.equal(before, draws(ssps, 4))


def test_nothing_is_sampled_before_the_start_and_the_epoch_before_fills():
    config = SSPSConfig(enabled=True, clusters=CLUSTERS, nearest=1, start_epoch=2)
    ssps, vectors, batch = SSPS(config, N, DIM, (3,)), references(), torch.arange(N)
    for epoch, known in ((0, False), (1, True)):
        assert ssps.start_epoch(epoch) == {}
        ssps.substitute(torch.zeros(N, 3), batch, vectors)
        assert ssps.known.any() == known and not ssps.sampling
    figures = ssps.start_epoch(2)
    assert ssps.sampling and figures["cluster_largest"] >= MEMBERS
    assert figures["clusters_empty"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 4, "nearest": 4}, "3 other clusters"),
        ({"neighbours": "knn", "nearest": 0}, "knn"),
        ({"mutual": True}, "wants neighbours = knn"),
        ({"neighbours": "speakers", "nearest": 1}, "nearest = 0"),
        ({"reference_seconds": 0.0}, "reference_seconds"),
        ({"queue": -1}, "not below 0"),
    ],
)
def test_settings_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        SSPSConfig(**options)


def test_more_clusters_than_utterances_and_centroids_of_another_space():
    with pytest.raises(InputError, match="choose fewer clusters"):
        SSPS(SSPSConfig(clusters=N), N, DIM, (DIM,))
    with pytest.raises(InputError, match="projector"):
        SSPS(SSPSConfig(clusters=4, positive="centroid"), N, DIM, (3,))
