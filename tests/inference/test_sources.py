"""Scoring by the best pair of sources, and what a separative encoder gives for it."""

import numpy as np
import pytest
import torch

from sv import checkpoint
from sv.bin import score_sources as program
from sv.crops.index import TrainingIndex
from sv.encoders import SeparativeConfig, build_encoder
from sv.errors import InputError
from sv.inference.embedder import Embedder
from sv.inference.sources import SourceEmbeddings, best_pairs, embed_sources


def test_best_pairs_against_a_loop():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((7, 3, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    shares = rng.dirichlet([1, 1, 1], 7).astype(np.float32)
    enrol, test = rng.integers(0, 7, 30), rng.integers(0, 7, 30)
    found = best_pairs(SourceEmbeddings(vectors, shares), enrol, test, least_share=0.3)
    for score, a, b in zip(found, enrol, test, strict=True):
        pairs = [
            float(vectors[a, s] @ vectors[b, t])
            for s in range(3)
            for t in range(3)
            if shares[a, s] >= min(0.3, shares[a].max())
            and shares[b, t] >= min(0.3, shares[b].max())
        ]
        assert score == pytest.approx(max(pairs), abs=1e-6)


def test_share_of_one_compares_the_dominant_sources():
    vectors = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], dtype=np.float32)
    shares = np.array([[0.6, 0.4], [0.6, 0.4]], dtype=np.float32)
    found = SourceEmbeddings(vectors, shares)
    assert best_pairs(found, [0], [1], 1.0).item() == 0.0
    assert best_pairs(found, [0], [1], 0.1).item() == 1.0


def write_separative(path, sources=2):
    torch.manual_seed(0)
    config = SeparativeConfig(
        mel_bins=8, channels=8, blocks=1, pooled_channels=8, embedding_dim=6, sources=sources
    )
    encoder = build_encoder(config)
    model = {"encoder": encoder.state_dict(), "model": vars(config), "normalise": "mean"}
    checkpoint.save(path, {**model, "epochs": [0]})
    return path


def test_dominant_source_is_what_the_encoder_gives(tmp_path, write_features):
    data = write_features(tmp_path / "data", [31, 40, 25, 60])
    model, index = write_separative(tmp_path / "final.pt"), TrainingIndex.load(data)
    embedder = Embedder.load(model)
    found = embed_sources(embedder, index, frames_per_batch=80)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1, rtol=1e-5)
    for row in range(4):
        features = index.read_windows(np.array([row]), np.zeros(1, int), int(index.lengths[row]))
        one = torch.nn.functional.normalize(embedder(torch.from_numpy(features)))[0]
        loudest = found.vectors[row, found.shares[row].argmax()]
        np.testing.assert_allclose(loudest, one.numpy(), atol=1e-5)

    (tmp_path / "trials").write_text("1 utt000 utt001\n0 utt002 utt003\n")
    words = ["--model", str(model), "--data", str(data), "--trials", str(tmp_path / "trials")]
    program.main([*words, "--output", str(tmp_path / "s" / "scores")])
    lines = (tmp_path / "s" / "scores").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["utt000", "utt001"], ["utt002", "utt003"]]
    with pytest.raises(SystemExit):
        program.main([*words, "--output", "x", "--least-share", "2"])


def test_another_encoder_has_no_sources(tmp_path, write_features, write_model):
    data = write_features(tmp_path / "data", [31, 40])
    embedder = Embedder.load(write_model(tmp_path / "final.pt"))
    with pytest.raises(InputError, match="encoder is ecapa: only a separative one"):
        embed_sources(embedder, TrainingIndex.load(data))
