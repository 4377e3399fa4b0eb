import copy
import math

import pytest
import torch
import torch.nn.functional as F

from sv.crops.groups import DataConfig
from sv.encoders.heads import DinoHead, UnitLinear
from sv.errors import InputError
from sv.losses import dino_loss, sinkhorn, view_cross_entropy
from sv.methods.base import Moment
from sv.methods.dino import DINO, DINOConfig


def settings(**changes):
    small = {"hidden": [7], "bottleneck": 4, "outputs": 9, "global_seconds": 0.2}
    return DINOConfig(**{**small, **changes})


def branches(method, views):
    """Student and teacher logits, each crop group forwarded on its own, by the book."""
    method = copy.deepcopy(method).train()
    long, short = views.crops["global"].flatten(0, 1), views.crops["local"].flatten(0, 1)
    student = torch.cat([method.head(method.encoder(crops)) for crops in (long, short)])
    for teacher in (method.teacher_encoder, method.teacher_head):
        teacher.train(method.config.teacher_statistics == "batch")
    return student, method.teacher_head(method.teacher_encoder(long))


def test_crops(encoder):
    groups = DINO(encoder, DINOConfig(outputs=8)).crop_groups(DataConfig())
    assert [(g.name, g.count, g.frames) for g in groups] == [("global", 2, 400), ("local", 4, 200)]
    none = DINO(encoder, settings(local_crops=0)).crop_groups(DataConfig(crop_seconds=0.1))
    assert [g.name for g in none] == ["global"]
    with pytest.raises(InputError, match="global_seconds is 0.2, shorter than data.crop_seconds"):
        DINO(encoder, settings()).crop_groups(DataConfig())


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("centering", ["mean", "sinkhorn"])
def test_loss_and_centre(encoder, make_views, centering, statistics):
    method = DINO(encoder, settings(centering=centering, teacher_statistics=statistics)).train()
    method.center.copy_(torch.linspace(-0.5, 0.5, 9))
    before, views = method.center.clone(), make_views(method)
    student, teacher = branches(method, views)
    loss, stats = method.training_step(views)
    if centering == "mean":
        how = {"student_temp": 0.1, "teacher_temp": 0.04, "n_global": 2}
        expected = dino_loss(student, teacher, before, **how)
        center = 0.9 * before + 0.1 * teacher.mean(dim=0)
    else:
        codes = sinkhorn(teacher, epsilon=0.04)
        expected = view_cross_entropy(student, codes, temperature=0.1, n_targets=2)
        center = before
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(method.center, center)
    assert stats["kl"] == pytest.approx(float(loss.detach() - stats["output_entropy"]), rel=1e-5)


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_the_teacher_is_left_in_evaluation_mode_and_has_no_gradient(
    encoder, make_views, statistics
):
    method = DINO(encoder, settings(teacher_statistics=statistics)).train()
    teacher = [method.teacher_encoder, method.teacher_head]
    assert method.encoder.training and not any(m.training for t in teacher for m in t.modules())
    mean = method.teacher_encoder.layers[1].running_mean.clone()
    loss, _ = method.training_step(make_views(method))
    assert not any(m.training for t in teacher for m in t.modules())
    moved = not torch.equal(mean, method.teacher_encoder.layers[1].running_mean)
    assert moved is (statistics == "batch")  # it measures its own, or follows the student's
    loss.backward()
    weights = [w for module in teacher for w in module.parameters()]
    assert all(w.grad is None and not w.requires_grad for w in weights)
    assert method.evaluated is method.teacher_encoder
    assert all(w.grad is not None for w in [*method.encoder.parameters()])


def test_the_teacher_follows_by_a_cosine_and_takes_over_statistics(encoder, make_views):
    method = DINO(encoder, settings(momentum=0.9, teacher_statistics="running")).train()
    assert method.momentum(Moment(0.0, 10)) == pytest.approx(0.9)
    assert method.momentum(Moment(5.0, 10)) == pytest.approx(0.95)
    assert method.momentum(Moment(10.0, 10)) == 1.0
    method.training_step(make_views(method))  # moves the student's running statistics
    mean = method.encoder.layers[1].running_mean.clone()
    old = method.teacher_encoder.layers[0].weight.clone()
    with torch.no_grad():
        method.encoder.layers[0].weight.add_(1.0)
    method.after_step(Moment(5.0, 10))
    new = method.teacher_encoder.layers[0].weight
    torch.testing.assert_close(new, 0.95 * old + 0.05 * (old + 1.0))
    momentum = 2 / 11  # after one step statistics move fast
    torch.testing.assert_close(method.teacher_encoder.layers[1].running_mean, (1 - momentum) * mean)
    assert int(method.teacher_encoder.layers[1].num_batches_tracked) == 2  # long and short crops


def test_the_last_layer_is_frozen_for_one_epoch(encoder, make_views):
    method = DINO(encoder, settings()).train()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, weight_decay=0.1)
    for moment, moves in ((Moment(0.9, 10), False), (Moment(1.0, 10), True)):
        before = method.head.last.weight.clone()
        loss, _ = method.training_step(make_views(method, moment=moment))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.equal(before, method.head.last.weight) is not moves


def test_teacher_temperature_warms_up(encoder):
    changes = {"teacher_temp_start": 0.02, "teacher_temp": 0.06, "teacher_temp_epochs": 4.0}
    method = DINO(encoder, settings(**changes))
    found = [method.teacher_temperature(Moment(epoch, 10)) for epoch in (0.0, 1.0, 4.0, 9.0)]
    assert found == pytest.approx([0.02, 0.03, 0.06, 0.06])


def test_the_last_layer_is_weight_norm_with_the_norm_fixed_at_one():
    torch.manual_seed(0)
    ours = UnitLinear(4, 9)
    theirs = torch.nn.Linear(4, 9, bias=False)
    theirs.weight.data.copy_(ours.weight)
    theirs = torch.nn.utils.parametrizations.weight_norm(theirs)
    theirs.parametrizations.weight.original0.data.fill_(1.0)
    x = torch.randn(5, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.parametrizations.weight.original1.grad)


def test_head_is_the_published_one():
    head = DinoHead([512, 2048, 2048, 256], 64)
    kinds = [type(layer).__name__ for layer in head.mlp]
    assert kinds == ["Linear", "BatchNorm1d", "GELU"] * 2 + ["Linear"]
    assert [m.out_features for m in head.mlp if hasattr(m, "out_features")] == [2048, 2048, 256]
    lengths = head.bottleneck(torch.randn(3, 512)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(3))
    assert head(torch.randn(3, 512)).abs().max() <= 1.0


def test_substituted_positives_are_bottlenecks_of_the_teacher(encoder, make_views, monkeypatch):
    """What SSPS puts in the place of the positives goes through the teacher's last layer."""
    method = DINO(encoder, settings()).train()
    views = make_views(method)
    other = F.normalize(torch.randn(8, *method.positive_shape), dim=-1)
    monkeypatch.setattr(method, "substitute", lambda positives, views: other)
    student, _ = branches(method, views)
    loss, _ = method.training_step(views)
    teacher = method.teacher_head.last(torch.cat([other[:, 0], other[:, 1]]))
    how = {"student_temp": 0.1, "teacher_temp": 0.04, "n_global": 2}
    torch.testing.assert_close(loss, dino_loss(student, teacher, torch.zeros(9), **how))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": 1}, "outputs"),
        ({"teacher_temp": 0.0}, "teacher_temp"),
        ({"momentum": 1.5}, "momentum"),
        ({"global_crops": 1, "local_crops": 0}, "no other to learn from"),
        ({"local_crops": -1}, "local_crops"),
        ({"hidden": [0]}, "hidden"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)


def test_chance_level(encoder, make_views):
    method = DINO(encoder, settings()).train()
    assert method.training_step(make_views(method))[1]["chance"] == pytest.approx(math.log(9))
