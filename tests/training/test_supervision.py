"""Training with true speakers: who opens labels, clusters, exact resume, what is saved."""

import json
import math

import numpy as np
import pytest
import torch

from sv import checkpoint
from sv.bin import train, voiceprints
from sv.encoders import build_encoder
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.sampling.chns import SpeakerClusters
from sv.training.experiment import Experiment
from sv.training.supervision import read_clusters

pytestmark = pytest.mark.whole

SPEAKERS = 9
SMALL = [
    "model.name=fast_resnet34",
    "model.mel_bins=8",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=16",
    "data.crop_seconds=0.3",
    "data.normalise=none",
    "augment.room_probability=0",
    "augment.noise_probability=0",
    "train.batch_size=6",
    "train.epochs=4",
    "train.workers=0",
    "optim.lr=0.005",
]
HARD = ["method.name=supcon", "batches.hard_ratio=0.7", "batches.clusters=3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """25 utterances of nine speakers with a voice each; the last speaker has a single utterance."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    voices, labels, frames = rng.standard_normal((SPEAKERS, 8)), [], []
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
        for number in range(25):
            speaker, length = min(number // 3, SPEAKERS - 1), 50 + number
            features = voices[speaker] + 0.5 * rng.standard_normal((length, 8))
            writer.write(f"utt{number:03d}", features.astype(np.float32))
            labels.append(f"utt{number:03d} spk{speaker}\n")
            frames.append(f"utt{number:03d} {length}\n")
    (folder / "utt2num_frames").write_text("".join(frames))
    (folder / "labels").write_text("".join(labels))
    return folder


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """Three clusters of three speakers, as sv.bin.cluster writes them."""
    folder = tmp_path_factory.mktemp("clusters")
    rows = [f"spk{n} {n % 3}\n" for n in range(SPEAKERS)]
    (folder / "utt2cluster").write_text("".join(rows))
    with ArkWriter(folder / "centroids.ark", folder / "centroids.scp") as writer:
        for number in range(3):
            writer.write(str(number), np.eye(3, dtype=np.float32)[number])
    return folder


def run(data, out, *settings, labels=True, clusters=None):
    words = ["--data", str(data), "--out", str(out), "--device", "cpu"]
    words += ["--labels", str(data / "labels")] if labels is True else []
    words += ["--clusters", str(clusters)] if clusters else []
    for text in [*SMALL, *settings]:
        words += ["--set", text]
    train.main(words)
    return out


def rows_of(out):
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def state(out):
    return checkpoint.load(checkpoint.state_path(out))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("method", ["supcon", "h_scl", "aam"])
def test_it_learns_speakers_and_saves_the_encoder_alone(data, tmp_path, method, capsys):
    more = ["batches.samples_per_epoch=72", "train.epochs=5", "optim.lr=0.01"]
    out = run(data, tmp_path, f"method.name={method}", *more)
    first, *_, last = rows_of(out)
    assert last["loss"] < 0.9 * first["loss"]
    assert last["positive_cosine"] > last["negative_cosine"] + 0.1
    assert last["hardest_cosine"] >= last["negative_cosine"]
    assert last["speakers_seen"] <= SPEAKERS
    printed = capsys.readouterr().out
    assert "9 speakers, 6 in a batch" in printed and "1 speakers have one utterance" in printed
    model = checkpoint.load(checkpoint.epoch_path(out, 5))["encoder"]
    more = {name for name in state(out)["method"] if not name.startswith("encoder.")}
    assert more == {"centers" if method == "aam" else "temperature.log_temperature"}
    assert {f"encoder.{name}" for name in model} | more == state(out)["method"].keys()


def test_the_temperature_is_learned_and_stays_in_its_range(data, tmp_path):
    settings = ["method.name=supcon", "method.lowest_temperature=0.099", "optim.lr=0.05"]
    out = run(data, tmp_path / "learned", *settings)
    values = [row["temperature"] for row in rows_of(out)]
    assert min(values) >= 0.0989 and len(set(values)) > 1
    fixed = run(data, tmp_path / "fixed", "method.name=supcon", "method.learn_temperature=false")
    assert {round(row["temperature"], 6) for row in rows_of(fixed)} == {0.1}


def test_labels_are_asked_for_and_opened_only_where_they_are_needed(data, tmp_path):
    with pytest.raises(InputError, match="supcon learns from true speakers: give --labels"):
        run(data, tmp_path / "a", "method.name=supcon", labels=False)
    assert not (tmp_path / "a").exists()
    gone = tmp_path / "no such file"
    words = ["--data", str(data), "--out", str(tmp_path / "b"), "--labels", str(gone)]
    settings = [part for text in [*SMALL, "train.epochs=1"] for part in ("--set", text)]
    train.main([*words, *settings])  # SimCLR: the file is not opened, or this would fail
    with pytest.raises(InputError, match="no such label file"):
        train.main([*words, *settings, "--set", "method.name=aam"])
    with pytest.raises(InputError, match="hard_ratio is for methods that know the speakers"):
        run(data, tmp_path / "c", "batches.hard_ratio=0.5")


def test_an_utterance_without_a_speaker_is_named(data, tmp_path):
    text = (data / "labels").read_text()
    short = tmp_path / "labels"
    short.write_text(text.replace("utt004 spk1\n", ""))
    words = ["--data", str(data), "--out", str(tmp_path / "a"), "--labels", str(short)]
    settings = [part for text in [*SMALL, "method.name=aam"] for part in ("--set", text)]
    with pytest.raises(InputError, match="1 of 25 utterances have no label, the first is 'utt004'"):
        train.main([*words, *settings])


def test_hard_batches_come_from_clusters(data, clusters, tmp_path):
    """Batches of three speakers, clusters of three: all negatives of one cluster, or 2 of 8."""
    with pytest.raises(InputError, match="no clusters of speakers: give --clusters"):
        run(data, tmp_path / "none", *HARD)
    settings = ["method.name=supcon", "train.epochs=1", "train.batch_size=3"]
    settings += ["batches.samples_per_epoch=180"]
    hard = run(data, tmp_path / "1", *settings, "batches.hard_ratio=1", clusters=clusters)
    easy = run(data, tmp_path / "0", *settings, clusters=clusters)
    assert rows_of(hard)[0]["same_cluster"] == 1.0
    assert rows_of(easy)[0]["same_cluster"] == pytest.approx(2 / 8, abs=0.08)


@pytest.mark.parametrize("at", [(2, 1), (3, 1)])
def test_resuming_inside_an_epoch_with_new_clusters_is_exact(
    data, clusters, tmp_path, monkeypatch, stopped_after, at
):
    """New clusters before epochs 2 and 4 (counted from 1: 3 and 5): one is met in the middle."""
    settings = [*HARD, "batches.refresh_every=2", "batches.further=similar", "train.epochs=5"]
    settings += ["batches.samples_per_epoch=36"]
    made = []
    refresh = SpeakerClusters.__init__

    def remember(self, assignments, centroids=None):
        refresh(self, assignments, centroids)
        made.append(self.fingerprint)

    monkeypatch.setattr(SpeakerClusters, "__init__", remember)
    whole = run(data, tmp_path / "whole", *settings, clusters=clusters)
    assert len(made) == 3 and len(set(made)) > 1  # those of stage 4, and two of its own
    monkeypatch.undo()
    out = tmp_path / "interrupted"
    with stopped_after(*at):
        run(data, out, *settings, clusters=clusters)
    assert (state(out)["epoch"], state(out)["step"]) == at
    run(data, out, *settings, clusters=clusters)
    assert same(state(whole)["method"], state(out)["method"])
    figures = [[(r["loss"], r["same_cluster"]) for r in rows_of(exp)] for exp in (whole, out)]
    np.testing.assert_allclose(*figures, rtol=1e-6)


def test_a_classifier_resumes_with_its_centres(data, tmp_path, stopped_after):
    settings = ["method.name=aam", "method.sub_centers=2"]
    whole = run(data, tmp_path / "whole", *settings)
    out = tmp_path / "interrupted"
    with stopped_after(1, 1):
        run(data, out, *settings)
    run(data, out, *settings)
    assert same(state(whole)["method"], state(out)["method"])
    assert state(whole)["method"]["centers"].shape == (2 * SPEAKERS, 16)


def test_other_labels_or_clusters_do_not_resume(data, clusters, tmp_path):
    out = run(data, tmp_path / "exp", *HARD, "train.epochs=1", clusters=clusters)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("centroids.ark", "centroids.scp"):
        (other / name).write_bytes((clusters / name).read_bytes())
    rows = [f"spk{n} {n // 3}\n" for n in range(SPEAKERS)]
    (other / "utt2cluster").write_text("".join(rows))
    with pytest.raises(InputError, match="the composition of batches has changed"):
        run(data, out, *HARD, "train.epochs=1", clusters=other)


def test_voiceprints_and_their_clusters(data, tmp_path):
    """The program, then clusters of its vectors, then a training that reads them."""
    base = run(data, tmp_path / "base", "method.name=supcon", "train.epochs=1")
    out = tmp_path / "voiceprints"
    words = ["--data", str(data), "--labels", str(data / "labels"), "--device", "cpu"]
    words += ["--model", str(checkpoint.epoch_path(base, 1)), "--utterances", "2"]
    voiceprints.main([*words, "--seconds", "0.3", "--out", str(out)])
    names, vectors = load_vectors(f"scp:{out}.scp")
    assert names == [f"spk{n}" for n in range(SPEAKERS)]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    voiceprints.main([*words, "--seconds", "0.3", "--out", str(tmp_path / "again")])
    np.testing.assert_array_equal(vectors, load_vectors(f"scp:{tmp_path / 'again'}.scp")[1])
    from sv.bin import cluster

    made = tmp_path / "clusters"
    cluster.main(["--embeddings", f"scp:{out}.scp", "--k", "3", "--out", str(made)])
    found = read_clusters(made, names)
    assert found.sizes.sum() == SPEAKERS and len(found.assignments) == SPEAKERS
    centroids = found.centroids[found.assignments]
    assert (vectors * centroids).sum(1) == pytest.approx((vectors @ found.centroids.T).max(1))
    run(data, tmp_path / "chns", *HARD, "train.epochs=1", clusters=made)


def test_broken_clusters_are_explained(clusters, tmp_path):
    names = [f"spk{n}" for n in range(SPEAKERS)]
    with pytest.raises(InputError, match="no clusters of speakers: run stage 4"):
        read_clusters(tmp_path, names)
    with pytest.raises(InputError, match="1 of 10 training speakers are in no cluster.*'new'"):
        read_clusters(clusters, [*names, "new"])


def test_the_loss_of_equal_embeddings_is_the_chance_that_is_logged(data, tmp_path):
    out = run(data, tmp_path, "method.name=supcon", "train.epochs=1")
    assert rows_of(out)[0]["chance"] == pytest.approx(math.log(11))


def test_dropping_collisions_is_an_ablation_that_needs_labels(data, tmp_path, capsys):
    drop = ["method.name=simclr", "method.drop_collisions=true", "method.temperature=0.1"]
    with pytest.raises(InputError, match="drop_collisions is an ablation"):
        run(data, tmp_path / "without", *drop, labels=False)
    assert not (tmp_path / "without").exists()
    run(data, tmp_path / "dropped", *drop)
    assert "an ablation: true speakers" in capsys.readouterr().out
    plain = run(data, tmp_path / "plain", *drop, "method.drop_collisions=false")
    assert rows_of(tmp_path / "dropped")[0]["loss"] < rows_of(plain)[0]["loss"]


@pytest.mark.parametrize("loss", ["aam", "supcon", "h_scl"])
@pytest.mark.parametrize("encoder", ["ecapa", "thin_resnet34"])
def test_the_published_settings(root, loss, encoder):
    """650 speakers a batch, 200 epochs of 770 steps, Adam at 0.01 with a tenth of warm-up."""
    path = root / "egs" / "voxceleb" / "v3" / "conf" / f"{loss}_{encoder}.yaml"
    settings = Experiment.load(path)
    assert (settings.method.name, settings.model.name) == (loss, encoder)
    steps = settings.batches.samples_per_epoch // (2 * settings.train.batch_size)
    assert (settings.train.batch_size, settings.train.epochs, steps) == (650, 200, 770)
    optim = settings.optim
    assert (optim.name, optim.lr, optim.weight_decay) == ("adam", 0.01, 2e-6)
    assert optim.schedule == "cosine" and optim.warmup_epochs == settings.train.epochs / 10
    assert settings.augment.noise_probability == settings.augment.room_probability == 0
    assert settings.data.crop_seconds == 3.0 and settings.data.normalise == "mean"
    if encoder == "ecapa":
        with torch.device("meta"):
            weights = sum(p.numel() for p in build_encoder(settings.model).parameters())
        assert round(weights / 1e6, 1) == 2.0
    for small in ("mini", "custom"):
        assert Experiment.load(root / "egs" / small / "v3" / "conf" / f"{loss}.yaml")
