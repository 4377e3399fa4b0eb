"""Memories of SSPS that one look at the training set fills: exact, resumable, without a trace."""

import os
import signal

import pytest
import torch
from tiny_training import SSPS, log, run, same, state

from sv import checkpoint
from sv.methods import METHODS, build_method
from sv.methods.base import Facts, Moment, Views
from sv.sampling.ssps import SSPS as Memories
from sv.sampling.ssps import SSPSConfig
from sv.training.positives import fill_step

pytestmark = pytest.mark.whole

PASS = [*SSPS, "ssps.fill=pass"]


@pytest.fixture(scope="module")
def continued(ssps_data, ssps_base, tmp_path_factory):
    return run(ssps_data, tmp_path_factory.mktemp("ssps"), PASS, base=ssps_base)


def test_every_epoch_samples(continued):
    rows = log(continued)
    assert [row["epoch"] for row in rows] == [3, 4, 5]
    assert all(0 < row["coverage"] <= 1 for row in rows)
    assert state(continued)["positives._extra_state"]["passed"] == 3


def stop_after(steps, monkeypatch):
    """Let the pass get a signal after so many steps."""
    import sv.training.trainer

    done = []

    def step(*arguments):
        fill_step(*arguments)
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(sv.training.trainer, "fill_step", step)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_pass_that_is_interrupted_goes_on_to_the_same_bits(
    ssps_data, ssps_base, continued, tmp_path, monkeypatch, steps
):
    from sv.training.trainer import Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_after(steps, patch)
        run(ssps_data, tmp_path / "out", PASS, base=ssps_base)
    halfway, before = (
        checkpoint.load(checkpoint.state_path(e)) for e in (tmp_path / "out", ssps_base)
    )
    assert halfway["epoch"] == 2 and halfway["step"] == 0
    kept = before["method"]
    assert all(torch.equal(halfway["method"][name], value) for name, value in kept.items())
    known = halfway["method"]["positives.known"]
    assert known.sum() == 8 * steps
    run(ssps_data, tmp_path / "out", PASS, base=ssps_base)
    assert same(state(continued), state(tmp_path / "out"))


SETTINGS = {
    "simclr": {"projector": [4]},
    "moco": {"queue_size": 12, "projector": [4], "symmetric": True},
    "dino": {"hidden": [5], "bottleneck": 4, "outputs": 9, "local_crops": 1},
    "vicreg": {"projector": [4]},
    "swav": {"projector": [4], "prototypes": 6, "queue_size": 12, "queue_start": 0.0},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_else_of_a_method_changes(name):
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(6, 6), torch.nn.BatchNorm1d(6)
    )
    encoder.embedding_dim = 6
    method = build_method(encoder, METHODS[name][1](**SETTINGS[name]), Facts(20)).train()
    config = SSPSConfig(enabled=True, clusters=3, nearest=0, queue=6, fill="pass")
    method.positives = Memories(config, 20, 6, method.positive_shape)
    groups = {"global": 2, "local": 1} if name == "dino" else {"views": 2}
    crops = {group: torch.randn(count, 4, 3, 2) for group, count in groups.items()}
    views = Views(
        crops | {"reference": torch.randn(1, 4, 3, 2)}, torch.arange(4), moment=Moment(5.0, 10)
    )
    before = {
        key: value.clone()
        for key, value in method.state_dict().items()
        if torch.is_tensor(value) and not key.startswith("positives.")
    }
    fill_step(method, views)
    after = method.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert method.training and method.positives.passed == 1
    assert method.positives.known.tolist() == [True] * 4 + [False] * 16
    assert (method.positives.queued >= 0).sum() == 4
    positives = method.positives.queue[:4]
    assert positives.isfinite().all() and (positives != 0).any()
