import pytest
import torch

from sv.training.optim import OptimConfig, build_optimizer, clip_gradients, learning_rate


def test_step_schedule_of_the_published_recipe():
    config = OptimConfig(lr=1e-3, step_epochs=5, step_factor=0.95)
    assert learning_rate(config, 4.999, 100) == 1e-3
    assert learning_rate(config, 5.0, 100) == pytest.approx(0.95e-3)
    assert learning_rate(config, 99.9, 100) == pytest.approx(1e-3 * 0.95**19)


def test_cosine_with_warmup():
    config = OptimConfig(lr=1.0, schedule="cosine", warmup_epochs=10)
    assert learning_rate(config, 0, 100) == 0
    assert learning_rate(config, 5, 100) == pytest.approx(0.5)
    assert learning_rate(config, 10, 100) == pytest.approx(1.0)
    assert learning_rate(config, 55, 100) == pytest.approx(0.5)
    assert learning_rate(config, 100, 100) == pytest.approx(0.0)


def test_rate_depends_on_epochs_not_on_steps():
    config = OptimConfig(schedule="cosine")
    assert learning_rate(config, 3 + 5 / 10, 9) == learning_rate(config, 3 + 50 / 100, 9)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_only_matrices_decay(name):
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = build_optimizer(OptimConfig(name=name, weight_decay=0.1), layer)
    decays = {id(w): g["weight_decay"] for g in optimizer.param_groups for w in g["params"]}
    assert {n: decays[id(w)] for n, w in layer.named_parameters()} == {
        "0.weight": 0.1,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
    }


def test_impossible_rate():
    with pytest.raises(ValueError, match="lr"):
        OptimConfig(lr=0)


@pytest.mark.parametrize("by", ["all", "parameter"])
def test_clipping_limits_one_norm_or_that_of_each_weight(by):
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(4)]
    gradients = [torch.tensor(row) for row in ([3.0, 4.0], [0.3, 0.4], [0.0, 0.0])]
    for weight, gradient in zip(weights, gradients, strict=False):  # the last one has none
        weight.grad = gradient.clone()
    clip_gradients(OptimConfig(clip_norm=2.0, clip_by=by), weights)
    norms = [5.0, 0.5, 0.0] if by == "parameter" else 3 * [(25 + 0.25) ** 0.5]
    for weight, gradient, norm in zip(weights, gradients, norms, strict=False):
        torch.testing.assert_close(weight.grad, gradient * min(1.0, 2.0 / max(norm, 1e-9)))
    assert weights[3].grad is None


def test_without_a_limit_nothing_is_clipped():
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([1e9])
    clip_gradients(OptimConfig(clip_by="parameter"), [weight])
    assert weight.grad.item() == 1e9
