"""DeepCluster: what enters its loss, the first epoch, and positives of SSPS."""

import copy

import pytest
import torch
import torch.nn.functional as F

from sv.errors import InputError
from sv.losses import deepcluster_loss
from sv.methods.base import Facts, Moment
from sv.methods.deepcluster import DeepCluster, DeepClusterConfig

N = 8
FIRST, SECOND = Moment(0.0, 10), Moment(1.0, 10)


@pytest.fixture
def method(encoder):
    config = DeepClusterConfig(projector=[7, 4], clusters=[2, 3, 3])
    return DeepCluster(encoder, config, Facts(utterances=N)).train()


def unit(method, views):
    z = method.projector(method.encoder(views.crops["views"].flatten(0, 1)))
    return F.normalize(z).unflatten(0, (2, -1))


def test_the_first_epoch_learns_nothing_and_fills_the_memories(method, make_views):
    views = make_views(method, moment=FIRST)
    expected = unit(copy.deepcopy(method), views)
    method.start_epoch(FIRST)
    loss, stats = method.training_step(views)
    loss.backward()
    assert float(loss.detach()) == 0 and "chance" not in stats
    assert all(weight.grad is None for weight in method.parameters())
    for memory, z in zip(method.memories, expected, strict=True):
        torch.testing.assert_close(memory.references.float(), z, rtol=1e-3, atol=1e-3)


def test_every_head_has_prototypes_of_the_memory_of_its_crop(method, make_views):
    method.training_step(make_views(method, moment=FIRST))
    remembered = [memory.references.float() for memory in method.memories]
    assert method.start_epoch(SECOND) == {"clusters_used": 2.0}
    for head, made in enumerate(method.prototypes):
        torch.testing.assert_close(made.centroids.norm(dim=1), torch.ones(len(made.centroids)))
        assert torch.equal((remembered[head % 2] @ made.centroids.T).argmax(dim=1), made.cluster)
    views = make_views(method, seed=1)
    z = unit(copy.deepcopy(method), views)
    loss, _ = method.training_step(views)
    scores = [z @ made.centroids.T for made in method.prototypes]
    own = [made.cluster for made in method.prototypes]
    torch.testing.assert_close(loss, deepcluster_loss(scores, own))
    loss.backward()
    assert all(weight.grad is not None for weight in method.parameters())


def test_the_clusters_are_those_of_the_positive_that_ssps_finds(method, make_views):
    method.training_step(make_views(method, moment=FIRST))
    method.start_epoch(SECOND)
    remembered = method.memories[0].references.float()
    given = torch.zeros(N, 4)

    def substitute(positives, views):
        given.copy_(positives)
        return torch.cat([remembered[1:2].repeat(4, 1), positives[4:]])

    method.substitute = substitute
    found = method._clusters(torch.ones(N, 4), make_views(method))
    assert torch.equal(given, torch.ones(N, 4))
    for made, clusters in zip(method.prototypes, found, strict=True):
        assert torch.equal(clusters[4:], made.cluster[4:])
    assert torch.equal(found[0][:4], method.prototypes[0].cluster[1:2].repeat(4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clusters": []}, "clusters must be one number or more, of at least 2"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        DeepClusterConfig(**change)


def test_as_many_clusters_as_utterances_are_refused(encoder):
    config = DeepClusterConfig(projector=[4], clusters=[2, N])
    with pytest.raises(InputError, match=f"method.clusters is {N} but the training set has {N}"):
        DeepCluster(encoder, config, Facts(utterances=N))
