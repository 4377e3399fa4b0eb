import copy

import pytest
import torch
import torch.nn.functional as F

from sv.errors import InputError
from sv.losses import sinkhorn, swav_loss
from sv.methods.base import Facts, Moment
from sv.methods.swav import SwAV, SwAVConfig


def settings(**changes):
    return SwAVConfig(**{"prototypes": 10, "queue_size": 6, "projector": [7, 4], **changes})


@pytest.mark.parametrize("done", [0.0, 5.0])
def test_loss_with_and_without_the_queue(encoder, make_views, done):
    method = SwAV(encoder, settings(queue_start=0.5)).train()
    views = make_views(method, moment=Moment(done, 10))
    reference, queues = copy.deepcopy(method), [q.rows.clone() for q in method.queues]
    loss, stats = method.training_step(views)
    z = reference.projector(reference.encoder(views.crops["views"].flatten(0, 1)))
    z = F.normalize(z)
    prototypes = F.normalize(method.prototypes.weight)
    scores, codes = z @ prototypes.T, []
    for own, queue in zip(scores.chunk(2), queues, strict=True):
        joined = torch.cat([own, queue @ prototypes.T]) if done else own
        codes.append(sinkhorn(joined, epsilon=0.05)[:8])
    torch.testing.assert_close(
        loss, swav_loss(scores, torch.cat(codes), temperature=0.1, n_codes=2)
    )
    for queue, view in zip(method.queues, z.chunk(2), strict=True):
        assert sorted(queue.rows[:, 0].tolist()) == pytest.approx(sorted(view[2:, 0].tolist()))
    assert 0 <= stats["output_entropy"] <= stats["usage_entropy"] <= stats["entropy_ceiling"]


def test_prototypes_are_frozen_for_an_epoch_and_of_unit_length_after_every_step(
    encoder, make_views
):
    method = SwAV(encoder, settings()).train()
    optimizer = torch.optim.SGD(method.parameters(), lr=10.0)
    for moment, moves in ((Moment(0.5, 10), False), (Moment(1.0, 10), True)):
        before = method.prototypes.weight.clone()
        loss, _ = method.training_step(make_views(method, moment=moment))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(moment)
        assert torch.allclose(before, method.prototypes.weight) is not moves
        torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(10))


def test_without_a_queue(encoder, make_views):
    method = SwAV(encoder, settings(queue_size=0)).train()
    loss, _ = method.training_step(make_views(method, moment=Moment(9.0, 10)))
    assert len(method.queues) == 0 and loss.isfinite()


def test_a_queue_larger_than_the_training_set_is_refused(encoder):
    with pytest.raises(InputError, match="queue_size is 6 but the training set has 5 utterances"):
        SwAV(encoder, settings(), Facts(5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"prototypes": 1}, "prototypes"),
        ({"queue_start": 2.0}, "queue_start"),
        ({"iterations": 0}, "iterations"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)
