"""Contrastive separative coding: both tasks teach the trunk, and nobody sees the answer."""

import json
import math
from pathlib import Path

import pytest
import torch

from sv import checkpoint
from sv.bin import train
from sv.crops.groups import DataConfig
from sv.encoders import SeparativeConfig, build_encoder
from sv.errors import InputError
from sv.methods import METHODS
from sv.methods.base import Sources, Views
from sv.methods.csc import CSC, CSCConfig, SupervisedCSC, SupervisedCSCConfig
from sv.training.experiment import Experiment


def method_of(kind=CSC, config=None, sources=2, **settings):
    torch.manual_seed(0)
    model = SeparativeConfig(
        mel_bins=8, channels=8, blocks=1, pooled_channels=8, embedding_dim=6, sources=sources
    )
    return kind(build_encoder(model), config or CSCConfig(**settings))


def views_of(method, batch=5, seed=0, labels=None):
    generator = torch.Generator().manual_seed(seed)
    conditions = method.config.conditions
    speech = torch.randn(conditions, batch, 20, 8, generator=generator)
    partner = (torch.arange(batch) + 1).remainder(batch).expand(conditions, batch).clone()
    partner[:, -1] = -1  # somebody is alone
    rows = torch.arange(conditions)[:, None]
    other = torch.where((partner >= 0)[..., None, None], speech[rows, partner.clamp_min(0)], -50.0)
    sources = torch.stack([speech, other], dim=2)
    items = torch.stack([torch.arange(batch).expand(conditions, batch), partner], dim=2)
    mixture = sources.logsumexp(dim=2)
    return Views(
        {"mixtures": mixture},
        torch.arange(batch),
        labels,
        sources={"mixtures": Sources(sources, items)},
    )


def trunk_gradient(method, loss):
    method.zero_grad()
    loss.backward()
    return sum(float(p.grad.abs().sum()) for p in method.encoder.trunk.parameters())


def test_gradient_reaches_the_trunk_from_both_tasks():
    method = method_of(contrast_weight=0.0)
    assert trunk_gradient(method, method.training_step(views_of(method))[0]) > 0
    method = method_of(separation=False)
    assert trunk_gradient(method, method.training_step(views_of(method))[0]) > 0
    # the contrast also teaches the masks: it flows through the separated spectra
    assert float(method.encoder.masks.weight.grad.abs().sum()) > 0


def test_every_weight_is_trained_but_beta_which_cancels():
    method = method_of()
    method.training_step(views_of(method))[0].backward()
    idle = {n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert idle <= {"beta", "encoder.output.bias"} or idle == {"beta"}


def test_loss_is_the_weighted_sum():
    method = method_of(contrast_weight=0.3)
    loss, stats = method.training_step(views_of(method))
    expected = stats["separation_loss"] + 0.3 * stats["contrast_loss"]
    torch.testing.assert_close(loss.detach(), expected)
    assert stats["mi_bound"] <= stats["mi_ceiling"] == pytest.approx(math.log(5))


def test_the_current_condition_is_not_looked_at(monkeypatch):
    """What goes into the attention: allowed rows are of the same item, of another condition."""
    import sv.methods.csc as module

    seen = {}

    def spy(queries, keys, values, allowed):
        seen.update(values=values, allowed=allowed)
        return original(queries, keys, values, allowed)

    original = module.cross_attention
    monkeypatch.setattr(module, "cross_attention", spy)
    method = method_of(unit_length=False)
    views = views_of(method)
    items = views.sources["mixtures"].items
    voices = torch.randn(3, 5, 2, 6, generator=torch.Generator().manual_seed(1))
    method.contrast(voices, items, torch.arange(5))
    there = [(k, i, s) for k in range(3) for i in range(5) for s in range(2) if items[k, i, s] >= 0]
    assert seen["allowed"].shape == (30, 15)  # absent sources have rows, too
    for k, i, s in there:
        row = (k * 5 + i) * 2 + s
        for other in range(3):
            for item in range(5):
                expected = other != k and item == int(items[k, i, s])
                assert bool(seen["allowed"][row, other * 5 + item]) == expected
                assert torch.equal(seen["values"][other * 5 + item], voices[other, item, 0])


def test_absent_sources_count_nowhere():
    method = method_of()
    items = views_of(method).sources["mixtures"].items
    voices = torch.randn(3, 5, 2, 6, generator=torch.Generator().manual_seed(1))
    other = torch.where(items[..., None] >= 0, voices, 7.0)
    results = []
    for x in (voices, other):
        x = x.clone().requires_grad_()
        loss, stats = method.contrast(x, items, torch.arange(5))
        loss.backward()
        results.append((loss.detach(), stats["mi_bound"], x.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert not results[0][2][items < 0].any()


def test_contrast_against_a_loop():
    method = method_of(attention=False, unit_length=False, alpha=0.5)
    items = views_of(method).sources["mixtures"].items
    voices = torch.randn(3, 5, 2, 6, generator=torch.Generator().manual_seed(1)).double()
    loss, stats = method.contrast(voices.float(), items, torch.arange(5))

    def g(who, condition):
        return sum(voices[k, who, 0] for k in range(3) if k != condition) / 2

    terms = []
    for k in range(3):
        for i in range(5):
            for s in range(2):
                who = int(items[k, i, s])
                if who < 0:
                    continue
                scores = [
                    -0.5 * float((voices[k, i, s] - g(j, k)).square().sum()) for j in range(5)
                ]
                terms.append(math.log(sum(map(math.exp, scores))) - scores[who])
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert stats["mi_bound"].item() == pytest.approx(
        math.log(5) - sum(terms) / len(terms), abs=1e-5
    )


def test_supervised_identity_takes_the_same_speaker_out_of_the_contrast():
    method = method_of(SupervisedCSC, SupervisedCSCConfig())
    assert method.needs_labels and not CSC.needs_labels
    _, alone = method.training_step(views_of(method, labels=torch.arange(5)))
    _, twins = method.training_step(views_of(method, labels=torch.tensor([0, 0, 1, 2, 3])))
    assert alone["contrast_loss"] != twins["contrast_loss"]
    rows = torch.tensor([[0, 1, 2, 3, 4]] * 2)
    _, per_view = method.training_step(views_of(method, labels=rows))
    torch.testing.assert_close(per_view["contrast_loss"], alone["contrast_loss"])


@pytest.mark.parametrize(
    "settings", [{"contrast": "infonce"}, {"attention": False}, {"separation": False}]
)
def test_ablations_train(settings):
    method = method_of(**settings)
    loss, _ = method.training_step(views_of(method))
    assert loss.isfinite() and trunk_gradient(method, loss) > 0


def test_three_sources_where_mixtures_have_two():
    method = method_of(sources=3)
    loss, stats = method.training_step(views_of(method))
    assert loss.isfinite() and stats["mi_bound"] <= stats["mi_ceiling"]


def test_what_cannot_work_is_refused():
    with pytest.raises(InputError, match="needs model.name separative"):
        method_of(sources=1)
    with pytest.raises(InputError, match="normalise mean_var distorts"):
        method_of().crop_groups(DataConfig(normalise="mean_var"))
    with pytest.raises(ValueError, match="conditions must be at least 2"):
        CSCConfig(conditions=1)


SMALL = [
    "model.name=separative",
    "model.mel_bins=8",
    "model.channels=8",
    "model.blocks=1",
    "model.pooled_channels=8",
    "model.embedding_dim=8",
    "method.name=csc",
    "mixing.probability=0.8",
    "data.crop_seconds=0.3",
    "augment.room_probability=0",
    "augment.noise_probability=0.5",
    "train.batch_size=8",
    "train.epochs=4",
    "train.workers=0",
    "train.precision=float32",
    "optim.lr=0.005",
]


def run_to(data, out, *more):
    settings = [word for text in [*SMALL, *more] for word in ("--set", text)]
    train.main(["--data", str(data), "--out", str(out), "--device", "cpu", *settings])
    return checkpoint.load(checkpoint.epoch_path(out, 4))["encoder"]


def test_training_learns_and_resumes_exactly(tmp_path, write_features, stopped_after):
    data = write_features(tmp_path / "data", [50 + n for n in range(24)])
    whole = run_to(data, tmp_path / "whole")
    rows = [json.loads(line) for line in (tmp_path / "whole/train.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert all(row["mi_bound"] <= row["mi_ceiling"] for row in rows)

    with stopped_after(2, 1):
        run_to(data, tmp_path / "cut")
    resumed = run_to(data, tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_mistakes_are_told_before_training(tmp_path, write_features):
    data = write_features(tmp_path / "data", [50 + n for n in range(24)])
    with pytest.raises(InputError, match="up to 3 speakers and model.sources is 2"):
        run_to(data, tmp_path / "a", "mixing.interferers=[1, 2]")
    with pytest.raises(InputError, match="mixing.probability is 0"):
        run_to(data, tmp_path / "b", "mixing.probability=0")


def test_simclr_trains_on_mixtures_too(tmp_path, write_features):
    data = write_features(tmp_path / "data", [50 + n for n in range(24)])
    plain = run_to(data, tmp_path / "a", "method.name=simclr", "model.sources=1")
    alone = run_to(
        data, tmp_path / "b", "method.name=simclr", "model.sources=1", "mixing.probability=0"
    )
    assert not all(torch.equal(plain[name], alone[name]) for name in plain)


CONFIGS = sorted(Path(__file__).parents[2].glob("egs/*/v4/conf/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_configurations_fit_their_method_and_share_one_trunk(path):
    settings = Experiment.load(path)
    csc = settings.method.name.startswith("csc")
    assert csc == path.stem.startswith("csc")
    assert METHODS[settings.method.name][0].needs_labels == path.stem.endswith("supervised")
    assert settings.model.sources == (1 + settings.mixing.interferers[1] if csc else 1)
    assert (settings.mixing.probability > 0) == (path.stem != "simclr_noise")
    first = Experiment.load(path.with_name("csc.yaml"))
    trunk, other = vars(settings.model), vars(first.model)
    assert {k: v for k, v in trunk.items() if k != "sources"} == {
        k: v for k, v in other.items() if k != "sources"
    }
    assert settings.train.epochs == first.train.epochs and settings.optim == first.optim
