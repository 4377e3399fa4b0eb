"""AAM-Softmax with a gate: the loss, the gate of every epoch, going on, the report of a round."""

import json
import logging
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_methods import settings_of
from tiny_training import log, run, same, state
from torch import nn

from sv.bin import report_round
from sv.errors import InputError
from sv.methods.aam_gated import GatedAAM, GatedAAMConfig
from sv.methods.base import Facts, Moment, Views
from sv.sampling.two_gaussians import fit

UTTERANCES, SPEAKERS = 24, 6


class Normed(nn.Module):
    """A batch norm of the mean frame: training and evaluation mode differ."""

    embedding_dim = 5

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, features):
        return self.norm(features.mean(dim=1))


def made(**settings):
    """Return a method with random centres, and the crops of seven utterances."""
    torch.manual_seed(0)
    config = GatedAAMConfig(scale=8.0, gate_start=1, correct_start=2, **settings)
    method = GatedAAM(Normed(), config, Facts(utterances=9, speakers=4)).train()
    crops = {name: torch.randn(1, 7, 3, 5) for name in ("views", "clean")}
    views = Views(crops, torch.arange(7) + 1, torch.tensor([0, 1, 2, 3, 0, 1, 2]), Moment(3.5, 9))
    return method, views


def naive(method, views, gate):
    """Return the loss, and what becomes of each item: 'kept', 'dropped', or its new label."""
    config, centers, total, count, fate = method.config, method.centers, 0.0, 0, []
    mean = views.crops["views"][0].mean(dim=1)
    z = (mean - mean.mean(0)) / (mean.var(0, unbiased=False) + 1e-5).sqrt()
    clean = views.crops["clean"][0].mean(dim=1) / math.sqrt(1 + 1e-5)  # as the norm begins
    ways = [F.cosine_similarity(row[None], centers) for row in (*z, *clean)]

    def entropy(cosines, label):
        logits = [config.scale * value for value in cosines]
        logits[label] = config.scale * torch.cos(torch.acos(cosines[label]) + config.margin)
        return torch.logsumexp(torch.stack(logits), 0) - logits[label]

    for i, label in enumerate(views.labels.tolist()):
        loss = entropy(ways[i], label)
        chances = torch.softmax(ways[7 + i] / config.correct_temperature, 0)
        if loss <= gate:
            total, count = total + loss, count + 1
            fate.append("kept")
        elif config.corrects and chances.max() > config.confidence:
            new = int(chances.argmax())
            total, count = total + entropy(ways[i], new), count + 1
            fate.append(new)
        else:
            fate.append("dropped")
    return total / count, fate


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("kind", ["fixed", "gaussians"])
def test_the_loss_equals_the_naive_loop(kind, correct):
    method, views = made(gate=kind, gate_loss=2.5, correct=correct, confidence=0.8)
    method.gate.fill_(math.log(2.5))
    expected, fate = naive(method, views, gate=2.5)
    (wanted,) = torch.autograd.grad(expected, method.centers)
    loss, figures = method.training_step(views)
    (found,) = torch.autograd.grad(loss, method.centers)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert "kept" in fate and (not correct or {"dropped"} < set(fate) - {"kept"})
    assert float(figures["kept"]) == pytest.approx(fate.count("kept") / 7)
    new = [-1 if isinstance(what, str) else what for what in fate]
    assert method.new_label.tolist() == [-1, *new, -1]
    assert method.log_loss.isfinite().tolist() == [False, *[True] * 7, False]
    if correct:
        changed = [n >= 0 and n != y for n, y in zip(new, views.labels.tolist(), strict=True)]
        assert float(figures["corrected"]) == pytest.approx(sum(changed) / 7)
    assert [group.name for group in method.crop_groups(data())] == ["views", "clean"][: 1 + correct]


def data():
    from sv.crops.groups import DataConfig

    return DataConfig(crop_seconds=0.3)


def test_without_a_gate_it_is_the_mean_over_all():
    method, views = made(gate="none")
    loss, _ = method.training_step(views)
    torch.testing.assert_close(loss, naive(method, views, math.inf)[0])


def test_the_gate_of_an_epoch_is_the_crossing_of_the_losses_of_the_epoch_before(caplog):
    method, _ = made(gate="gaussians")
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(-3, 0.5, 200), rng.normal(2, 0.7, 100), [np.inf] * 5])
    method.register_buffer("log_loss", torch.tensor(losses, dtype=torch.float32))
    assert method.start_epoch(Moment(0, 9)) == {} and method.gate == math.inf  # before gate_start
    assert (method.log_loss == math.inf).all()
    method.log_loss.copy_(torch.from_numpy(losses))
    figures = method.start_epoch(Moment(1, 9))
    (crossing,) = fit(losses[:300].astype(np.float32)).crossings()
    assert float(method.gate) == pytest.approx(crossing) and -2 < crossing < 1
    assert figures == {"gate": pytest.approx(math.exp(crossing))}
    # A narrow Gaussian inside a wide one: the gate stays, and a sentence says so.
    method.log_loss.copy_(torch.from_numpy(np.concatenate([np.full(300, 1.0), [np.inf] * 5])))
    with caplog.at_level(logging.INFO):
        method.gate.fill_(1.5)
        assert method.start_epoch(Moment(2, 9)) == {"gate": pytest.approx(math.exp(1.5))}
    assert "cross 0 times between their modes, which gives no gate: it stays at 4.48" in caplog.text


def test_a_gate_that_keeps_nothing_is_refused():
    method, _ = made(gate="fixed", gate_loss=0.01)
    method.log_loss[:4] = torch.tensor([0.5, 1.0, 2.0, 3.0]).log()
    with pytest.raises(InputError, match="a gate of 0.01 keeps nothing: the losses .* at 0.5, the"):
        method.start_epoch(Moment(1, 9))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gate_start": 0}, "gate_start must be at least 1"),
        ({"gate_start": 5, "correct_start": 4}, "correct_start not before"),
        ({"confidence": 1.0}, "confidence from 0 to below 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GatedAAMConfig(**settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_features):
    """A whole training by two Gaussians: (data, clusters, experiment, settings)."""
    folder = tmp_path_factory.mktemp("rounds")
    data = write_features(folder / "data", [40] * UTTERANCES)
    (folder / "clusters").mkdir()
    names = [f"utt{number:03d}" for number in range(UTTERANCES)]
    # Every fifth utterance is in a cluster of another speaker.
    wrong = [(n // 4 + (n % 5 == 0)) % SPEAKERS for n in range(UTTERANCES)]
    rows = [f"{name} {cluster}\n" for name, cluster in zip(names, wrong, strict=True)]
    (folder / "clusters" / "utt2cluster").write_text("".join(rows))
    rows = [f"{name} spk{n // 4}\n" for n, name in enumerate(names)]
    (data / "utt2spk").write_text("".join(rows))
    settings = settings_of("aam_gated", "method.gate=gaussians", "method.correct_start=2")
    settings += ["train.epochs=4", "optim.lr=0.005", "augment.noise_probability=0"]
    labels = folder / "clusters" / "utt2cluster"
    return data, labels, run(data, folder / "whole", settings, labels=labels), settings


@pytest.mark.whole
def test_a_round_that_was_interrupted_goes_on_to_the_same_bits(trained, tmp_path, stopped_after):
    """In the middle of the epoch with the second gate, when labels are corrected."""
    data, labels, whole, settings = trained
    with stopped_after(2, 1):
        run(data, tmp_path, settings, labels=labels)
    run(data, tmp_path, settings, labels=labels)
    assert same(state(whole), state(tmp_path))
    names = ("loss", "kept", "corrected", "confirmed", "gate")
    rows = [[[row.get(name) for name in names] for row in log(exp)] for exp in (whole, tmp_path)]
    assert rows[0] == rows[1] and rows[0][-1][-1] is not None


@pytest.mark.whole
def test_the_report_of_a_round(trained, tmp_path, capsys):
    data, labels, whole, _ = trained
    assert json.loads((whole / "train.json").read_text())["labels_used"] == "clusters"
    words = ["--exp", whole, "--data", data, "--clusters", labels.parent, "--out", tmp_path]
    report_round.main([*map(str, words), "--labels", str(data / "utt2spk")])
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "round.json").read_text())
    last = log(whole)[-1]
    assert figures["utterances"] == figures["seen"] == UTTERANCES
    for name in ("kept", "corrected", "confirmed"):
        assert figures[name] == round(last[name] * UTTERANCES)
    assert figures["kept"] + figures["above_gate"] == UTTERANCES
    assert figures["gate"] == pytest.approx(last["gate"], rel=1e-5)
    known = figures["oracle_never_for_training"]
    assert known["right_labels"] == known["purity"] == pytest.approx(19 / 24)
    assert f"{figures['kept']} kept" in printed and "ORACLE" in printed
    assert (tmp_path / "losses.png").stat().st_size > 1000
    report_round.main([*map(str, words)])
    assert "oracle" not in (tmp_path / "round.json").read_text()


@pytest.mark.whole
def test_a_training_of_another_method_has_no_report(tmp_path, trained, ssps_like):
    data, labels, _, _ = trained
    words = ["--exp", ssps_like, "--data", data, "--clusters", labels.parent, "--out", tmp_path]
    with pytest.raises(InputError, match="not of the method aam_gated"):
        report_round.main(list(map(str, words)))


@pytest.fixture
def ssps_like(trained, tmp_path):
    data = trained[0]
    return run(data, tmp_path / "exp", settings_of("simclr", "train.epochs=1"))


def test_right_labels_are_counted_by_the_most_frequent_speaker_of_a_class():
    from sv.cluster.agreement import most_frequent
    from sv.report.rounds import right_labels, round_figures, sentences

    label = np.array([0, 0, 0, 1, 1, 2])
    speaker = np.array([5, 5, 7, 7, 7, 5])
    new = np.array([-1, -1, 1, -1, 0, 2])
    log_loss = np.array([0.0, 1.0, 3.0, np.inf, 3.0, 4.0])
    names = most_frequent(label, speaker)
    assert names.tolist() == [5, 7, 5]
    figures = round_figures(log_loss, 2.0, label, new)
    assert figures == {
        **{"utterances": 6, "seen": 5, "classes": 3, "gate": pytest.approx(math.e**2)},
        **{"kept": 2, "above_gate": 3, "corrected": 2, "confirmed": 1},
    }
    known = right_labels(log_loss, 2.0, label, new, speaker, names)
    assert known == {
        "right_labels": pytest.approx(5 / 6),
        "right_kept": 1.0,
        "right_above_gate": pytest.approx(2 / 3),
        "right_before_correction": 0.5,
        "right_after_correction": 0.5,
    }
    assert "2 kept (40.0%)" in sentences(figures)[0]
    assert round_figures(log_loss, math.inf, label, new)["gate"] is None
