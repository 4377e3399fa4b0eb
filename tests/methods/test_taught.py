"""RDINO and SDPN: what they add to DINO's loss, and what they compare."""

import copy

import pytest
import torch

from sv.crops.groups import DataConfig
from sv.errors import InputError
from sv.losses import (
    koleo_loss,
    mean_entropy_gap,
    prototype_logits,
    rdino_regulariser,
    sharp_targets,
    target_cross_entropy,
)
from sv.methods.base import Moment
from sv.methods.dino import DINO
from sv.methods.rdino import RDINO, RDINOConfig
from sv.methods.sdpn import SDPN, SDPNConfig


def rdino(encoder, **changes):
    small = {"hidden": [7, 6], "bottleneck": 4, "outputs": 9, "global_seconds": 0.2}
    return RDINO(encoder, RDINOConfig(**{**small, **changes})).train()


def sdpn(encoder, **changes):
    small = {"hidden": [7], "bottleneck": 4, "prototypes": 9, "global_seconds": 0.2}
    return SDPN(encoder, SDPNConfig(**{**small, **changes})).train()


def test_rdino_is_dino_and_a_term_on_the_hidden_layer(encoder, make_views):
    method = rdino(encoder)
    views = make_views(method)
    plain, other = copy.deepcopy(method), copy.deepcopy(method)
    plain.student_outputs = lambda *given: DINO.student_outputs(plain, *given)
    hidden = other.head.mlp[:4](other.encoder(views.crops["global"].flatten(0, 1)))
    rows = hidden.unflatten(0, (2, -1))
    weight = 0.05 + 0.15 / 9  # in the second epoch
    expected = plain.training_step(views)[0] + weight * rdino_regulariser(rows, outputs=9)
    loss, _ = method.training_step(views)
    torch.testing.assert_close(loss, expected)


def test_rdino_outputs_are_those_of_the_head(encoder):
    head = rdino(encoder).head.eval()
    x = torch.randn(3, 6)
    outputs, hidden = head.with_hidden(x)
    torch.testing.assert_close(outputs, head(x))
    assert hidden.shape == (3, 6)


def test_the_weight_rises_by_even_steps_as_published(encoder):
    method = rdino(encoder)
    found = [method.regulariser_weight(Moment(epoch + 0.5, 70)) for epoch in range(70)]
    assert found[0] == 0.05 and found[9:] == [pytest.approx(0.2)] * 61
    steps = [after - before for before, after in zip(found, found[1:10], strict=False)]
    assert steps == [pytest.approx(0.15 / 9)] * 9


def test_sdpn_teaches_short_crops_by_a_clean_long_one(encoder, make_views):
    method = sdpn(encoder)
    groups = method.crop_groups(DataConfig(crop_seconds=0.1))
    assert [(g.name, g.count, g.augment) for g in groups] == [
        ("global", 1, False),
        ("local", 4, True),
    ]
    views, other = make_views(method), copy.deepcopy(method)
    embeddings = other.encoder(views.crops["local"].flatten(0, 1))
    guess = prototype_logits(other.head(embeddings), other.prototypes)
    known = prototype_logits(other.teach(views.crops["global"])[:, 0], other.prototypes)
    expected = target_cross_entropy(guess, sharp_targets(known)) + mean_entropy_gap(guess)
    expected = expected + 0.1 * sum(koleo_loss(crop) for crop in embeddings.chunk(4))
    loss, _ = method.training_step(views)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    weights = [method.prototypes, *method.encoder.parameters(), *method.head.parameters()]
    assert all(weight.grad is not None for weight in weights)
    assert all(weight.grad is None for weight in method.teacher_encoder.parameters())
    assert method.evaluated is method.teacher_encoder and method.positive_shape == (1, 4)


def test_the_teacher_hears_more_than_the_student(encoder):
    with pytest.raises(InputError, match=r"global_seconds is 0\.2, shorter"):
        sdpn(encoder).crop_groups(DataConfig())


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (RDINOConfig, {"weight": -1.0}, "none below 0"),
        (RDINOConfig, {"hidden": []}, "hidden needs a layer"),
        (SDPNConfig, {"local_crops": 0}, "local_crops of at least 1"),
        (SDPNConfig, {"sharpening": 0.0}, "sharpening must be above 0"),
        (SDPNConfig, {"koleo_weight": -1.0}, "must not be negative"),
        (SDPNConfig, {"momentum": 2.0}, "momentum must be from 0 to 1"),
    ],
)
def test_impossible_settings(config, change, message):
    with pytest.raises(ValueError, match=message):
        config(**change)
