"""Which keys of the queue are negatives of a query, pair by pair."""

import pytest
import torch
import torch.nn.functional as F

from sv.methods import build_method
from sv.methods.base import Facts, Moment
from sv.methods.moco_c3 import MoCoC3Config

UTTERANCES = 8


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_those_of_the_equation(encoder, make_views, weighted):
    config = MoCoC3Config(
        queue_size=6, clusters=[3], cluster_start=1, collision_cosine=0.6, temperature=0.2,
        collision_weights=weighted, momentum=0.9,
    )  # fmt: skip
    method = build_method(encoder, config, Facts(UTTERANCES))
    early = make_views(method, moment=Moment(0.0, 10))
    method.training_step(early)  # the last 6 of 8 utterances are in the queue, 2 first
    assert method.queued.sort().values.tolist() == [2, 3, 4, 5, 6, 7]
    query = torch.randn(UTTERANCES, 6, generator=torch.Generator().manual_seed(4))
    assert method.corrections(query, method.queue, early) == {}
    method.start_epoch(Moment(1.0, 10))
    found = method.corrections(query, method.queue, make_views(method))["weights"]
    made, unit = method.prototypes[0], F.normalize(query)
    for i in range(UTTERANCES):
        chances = torch.exp(unit[i] @ made.centroids.T / made.density)
        chances = chances / chances.sum()
        for place, utterance in enumerate(method.queued.tolist()):
            theirs = made.cluster[utterance]
            expected = 1 - chances[theirs] if weighted else torch.ones(())
            if theirs == made.cluster[i] or unit[i] @ method.queue.rows[place] > 0.6:
                expected = torch.zeros(())
            torch.testing.assert_close(found[i, place], expected, rtol=1e-4, atol=1e-6)
    assert (found == 0).any() and (found > 0).any()


def test_the_queue_knows_of_which_utterance_each_key_is(encoder, make_views):
    config = MoCoC3Config(queue_size=5, clusters=[3], momentum=0.9)
    method = build_method(encoder, config, Facts(UTTERANCES))
    for seed in range(3):
        method.training_step(make_views(method, seed=seed, batch=4, moment=Moment(0.0, 10)))
        queued, known = method.queued, method.memory.references.float()
        cosines = (known[queued.clamp_min(0)] * method.queue.rows).sum(dim=1)
        newest = (cosines > 0.999) & (queued >= 0)
        assert sorted(queued[newest].tolist()) == [0, 1, 2, 3]
