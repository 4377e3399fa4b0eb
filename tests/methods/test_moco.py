import copy

import pytest
import torch
import torch.nn.functional as F

from sv.errors import InputError
from sv.losses import moco_nce
from sv.methods.base import Facts, Moment
from sv.methods.moco import MoCo, MoCoConfig
from sv.methods.queue import Queue


def settings(**changes):
    return MoCoConfig(**{"queue_size": 12, "temperature": 0.1, "projector": [4], **changes})


@pytest.mark.parametrize("symmetric", [False, True])
def test_loss_is_that_of_queries_keys_and_the_queue_before_the_batch(
    encoder, make_views, symmetric
):
    method = MoCo(encoder, settings(symmetric=symmetric)).train()
    views = make_views(method)
    reference, queue = copy.deepcopy(method), method.queue.rows.clone()
    loss, _ = method.training_step(views)
    first, second = views.crops["views"]
    queries = torch.cat([first, second]) if symmetric else first
    keys = torch.cat([second, first]) if symmetric else second
    z = reference.projector(reference.encoder(queries))
    k = reference.key_projector(reference.key_encoder(keys))
    how = {"temperature": 0.1, "margin": 0.1, "margin_type": "am"}
    expected = moco_nce(z[:8], k[:8], queue, **how)
    if symmetric:  # the mean of both directions, each with the queue of its keys' view
        other = reference.first_queue.rows
        assert not torch.equal(other, queue)
        expected = (expected + moco_nce(z[8:], k[8:], other, **how)) / 2
        newest = torch.cat([other, F.normalize(k[8:])])[-12:]
        rows = method.first_queue.rows
        torch.testing.assert_close(rows, torch.cat([newest[4:], newest[:4]]))
    torch.testing.assert_close(loss, expected)
    # The newest keys took the places of the oldest.
    newest = torch.cat([queue, F.normalize(k[:8])])[-12:]
    torch.testing.assert_close(method.queue.rows, torch.cat([newest[4:], newest[:4]]))
    assert int(method.queue.position) == 8


def test_queue_wraps_around_whatever_the_batch():
    queue = Queue(5, 2)
    torch.testing.assert_close(queue.rows.norm(dim=1), torch.ones(5))
    rows = torch.arange(32.0).view(16, 2)
    queue.put(rows[:3])
    queue.put(rows[3:6])  # 3, 4 at the end, 5 at the beginning
    assert queue.rows[:, 0].tolist() == [10.0, 2.0, 4.0, 6.0, 8.0]
    queue.put(rows[6:14])  # more than the queue holds: the last five stay
    kept = sorted(queue.rows[:, 0].tolist())
    assert kept == [18.0, 20.0, 22.0, 24.0, 26.0]
    queue.put(rows[14:15])  # takes the place of the oldest
    assert sorted(queue.rows[:, 0].tolist()) == [20.0, 22.0, 24.0, 26.0, 28.0]


def test_keys_have_no_gradient_and_the_key_encoder_follows(encoder, make_views):
    method = MoCo(encoder, settings(momentum=0.9)).train()
    loss, _ = method.training_step(make_views(method))
    loss.backward()
    assert all(weight.grad is not None for weight in method.encoder.parameters())
    followers = [*method.key_encoder.parameters(), *method.key_projector.parameters()]
    assert all(weight.grad is None and not weight.requires_grad for weight in followers)
    before = [weight.clone() for weight in followers]
    with torch.no_grad():
        for weight in [*method.encoder.parameters(), *method.projector.parameters()]:
            weight.add_(1.0)
    method.after_step(Moment(1.0, 10))
    for old, new in zip(before, followers, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * (old + 1.0))


def test_a_collapsed_network_is_at_the_chance_level(encoder, make_views):
    for margin_type in ("none", "am", "aam"):
        method = MoCo(encoder, settings(margin_type=margin_type, projector=[])).train()
        for module in (method.encoder, method.key_encoder):
            for weight in module.parameters():
                weight.detach().fill_(1.0)
        method.queue.rows.copy_(F.normalize(torch.ones(12, 6)))
        views = make_views(method)
        views.crops["views"].fill_(1.0)
        loss, stats = method.training_step(views)
        assert float(stats["chance"]) == pytest.approx(float(loss.detach()), rel=1e-3)


def test_a_queue_larger_than_the_training_set_is_refused(encoder):
    with pytest.raises(InputError, match=r"queue_size is 12 .* has 11 utterances.*--set"):
        MoCo(encoder, settings(), Facts(11))
    MoCo(encoder, settings(), Facts(12))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin_type": "none", "margin": 0.1}, "margin_type is none"),
        ({"queue_size": 0}, "queue_size"),
        ({"momentum": 1.0}, "momentum"),
        ({"key_batches": 0}, "key_batches"),
        ({"temperature": 0.0}, "temperature"),
        ({"projector": [0]}, "projector"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)


def test_keys_are_made_in_batches_of_permuted_crops(encoder, make_views):
    """Batch norms then measure other company than the queries'; outputs are back in order."""
    torch.manual_seed(3)
    views = make_views(MoCo(encoder, settings()), batch=8)
    crops = views.crops["views"][1]
    seen = []
    method = MoCo(encoder, settings(key_batches=2)).train()
    reference = copy.deepcopy(method).train()
    method.key_encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    keys = method.keys(crops)
    assert [len(part) for part in seen] == [4, 4]
    order = [
        next(row for row in range(8) if torch.equal(crops[row], crop)) for crop in torch.cat(seen)
    ]
    assert sorted(order) == list(range(8)) and order != list(range(8))
    for part, rows in zip(seen, (order[:4], order[4:]), strict=True):
        expected = F.normalize(reference.key_projector(reference.key_encoder(part)))
        torch.testing.assert_close(keys[rows], expected)
    method.queue.put(keys)  # the deal follows the queue, so that resuming repeats it
    seen.clear()
    method.keys(crops)
    assert not torch.equal(torch.cat(seen), crops[order])
    with pytest.raises(InputError, match="key_batches is 5, but 8 keys are too few"):
        MoCo(encoder, settings(key_batches=5)).train().keys(crops)


def test_no_margin_means_no_margin():
    assert settings(margin_type="none").margin == 0.0
    assert settings().margin == 0.1
