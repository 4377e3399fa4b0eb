import math

import pytest
import torch

from sv.training.monitor import (
    CollapseWatch,
    TrainingFailed,
    check_weights,
    effective_rank,
    not_finite,
)


def test_effective_rank_counts_directions():
    assert effective_rank(torch.ones(50, 8)) == 1
    one_line = torch.linspace(-1, 1, 50)[:, None] * torch.ones(8)
    assert effective_rank(one_line) == pytest.approx(1, abs=1e-3)
    cloud = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    assert 7.9 < effective_rank(cloud) <= 8.0001


def test_nan_is_told_with_a_remedy():
    told = not_finite(math.nan, 2, 7)
    assert "the loss is nan in epoch 3, step 8" in told and "optim.lr" in told


def test_loss_at_chance_is_named_after_some_patience():
    watch = CollapseWatch(patience=2)
    bad = {"loss": math.log(511) + 0.001, "chance": math.log(511), "rank": 40.0}
    watch.end_of_epoch(bad)
    with pytest.raises(TrainingFailed, match="at chance, 6.2374"):
        watch.end_of_epoch(bad)


def test_a_healthy_loss_may_pass_through_the_chance_level():
    watch = CollapseWatch(patience=1)
    cosines = {"positive_cosine": 0.5, "negative_cosine": 0.1}
    watch.end_of_epoch({"loss": 6.23, "chance": 6.236, "rank": 90.0, **cosines})


def test_weights_beyond_all_measure_are_not_saved():
    layer = torch.nn.Linear(2, 2)
    check_weights(layer, 0)
    for value in (math.nan, math.inf, 1e30):
        layer.weight.data[0, 0] = value
        with pytest.raises(TrainingFailed, match="weights of weight reached"):
            check_weights(layer, 0)


def test_flat_embeddings_are_named():
    watch = CollapseWatch(patience=1)
    with pytest.raises(TrainingFailed, match="effective rank of 1.02"):
        watch.end_of_epoch({"loss": 1.0, "chance": 6.0, "rank": 1.02})


def output_stats(own, usage, k=100, **more):
    figures = {"output_entropy": own, "usage_entropy": usage, "entropy_ceiling": math.log(k)}
    return {"loss": 1.0, "rank": 40.0, **figures, **more}


@pytest.mark.parametrize(
    ("own", "usage", "message"),
    [
        (math.log(100), math.log(100), "outputs are uniform for every crop .*teacher_temp"),
        (0.0, 1e-4, "outputs are the same for every crop .*centering"),
        (2.0, 2.001, "outputs are the same for every crop"),
    ],
)
def test_outputs_that_say_nothing_are_named(own, usage, message):
    with pytest.raises(TrainingFailed, match=message):
        CollapseWatch(patience=1).end_of_epoch(output_stats(own, usage))


def test_certain_outputs_that_differ_are_healthy():
    watch = CollapseWatch(patience=1)
    watch.end_of_epoch(output_stats(0.01, 3.0))
    watch.end_of_epoch(output_stats(4.0, 4.5))


def test_a_loss_stuck_at_ln_k_is_named():
    figures = output_stats(3.0, 4.0, k=65536, chance=math.log(65536)) | {"loss": 11.0902}
    with pytest.raises(TrainingFailed, match=r"at chance, 11\.0902"):
        CollapseWatch(patience=1).end_of_epoch(figures)


def test_outputs_without_spread_are_named():
    with pytest.raises(TrainingFailed, match=r"standard deviation of 0\.0100"):
        CollapseWatch(patience=1).end_of_epoch({"loss": 1.0, "std": 0.01, "rank": 9.0})
    CollapseWatch(patience=1).end_of_epoch({"loss": 1.0, "std": 0.5, "rank": 9.0})


def test_a_good_epoch_clears_the_suspicion_and_state_is_kept():
    watch = CollapseWatch(patience=2)
    bad = {"loss": 6.0, "chance": 6.0, "rank": 40.0}
    watch.end_of_epoch(bad)
    watch.end_of_epoch({**bad, "loss": 3.0})
    watch.end_of_epoch(bad)
    resumed = CollapseWatch(patience=2)
    resumed.load_state_dict(watch.state_dict())
    with pytest.raises(TrainingFailed):
        resumed.end_of_epoch(bad)
