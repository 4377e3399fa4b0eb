"""Evaluation by crops: the papers' protocol against a naive loop, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from sv.bin import embed as program
from sv.bin import merge_embeddings
from sv.bin import score as score_program
from sv.crops.index import TrainingIndex
from sv.errors import InputError
from sv.inference.crops import EvenCrops
from sv.inference.embedder import Embedder
from sv.inference.speaker_model import SpeakerModel
from sv.kaldi.arks import load_embeddings, load_vectors, read_matrix
from sv.scoring.score_file import read_scores

LENGTHS = [61, 200, 33, 120, 20]
"""Two are shorter than a crop of 40 frames."""
CROPS = ["--crops", "10", "--crop-seconds", "0.4", "--device", "cpu"]


@pytest.fixture
def embedded(tmp_path, write_features, write_model):
    """Return the model, the data directory and the crops' embeddings of a small set."""
    data = write_features(tmp_path / "data", LENGTHS)
    model = write_model(tmp_path / "m.pt")
    program.main(["--model", str(model), "--data", str(data), "--out", f"{tmp_path}/e", *CROPS])
    return model, data, f"scp:{tmp_path}/e.scp"


def naive(embedder, features, count=10, frames=40):
    """As the papers' code: wrap, cut at evenly spaced places, embed each crop alone."""
    while len(features) < frames:
        features = np.concatenate([features, features])[:frames]
    places = [int(place) for place in np.linspace(0, len(features) - frames, count)]
    crops = [torch.from_numpy(features[place : place + frames].copy()) for place in places]
    return [embedder(crop[None])[0].numpy() for crop in crops]


def test_scores_are_those_of_a_naive_loop_over_all_pairs_of_crops(embedded, tmp_path):
    model, data, scp = embedded
    embedder, index = Embedder.load(model), TrainingIndex.load(data)
    table = dict(line.split() for line in (data / "feats.scp").read_text().splitlines())
    alone = {name: naive(embedder, read_matrix(place)) for name, place in table.items()}
    names = index.ids(slice(None))
    pairs = [(a, b) for a in names for b in names]
    (tmp_path / "trials").write_text("".join(f"{a} {b}\n" for a, b in pairs))
    score_program.main(
        ["--trials", f"{tmp_path}/trials", "--embeddings", scp, "--output", f"{tmp_path}/s"]
    )
    found = read_scores(tmp_path / "s").values
    for (a, b), score in zip(pairs, found, strict=True):
        cosines = [
            x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x in alone[a] for y in alone[b]
        ]
        assert len(cosines) == 100
        assert score == pytest.approx(np.mean(cosines), abs=1e-5)
    assert json.loads((tmp_path / "s.json").read_text())["backend"] == "cosine"


def test_an_utterance_has_an_embedding_for_each_crop(embedded):
    ids, vectors = load_embeddings(embedded[2])
    assert vectors.shape == (len(LENGTHS), 10, 12)
    short = vectors[ids.index(ids[LENGTHS.index(20)])]
    np.testing.assert_allclose(short, short[:1].repeat(10, axis=0), atol=1e-5)
    assert np.abs(np.diff(vectors[1], axis=0)).max(axis=1).min() > 1e-4  # others differ


def test_pieces_of_several_jobs_are_the_same(embedded, tmp_path):
    model, data, scp = embedded
    for job in ("1", "2"):
        program.main(
            ["--model", str(model), "--data", str(data), "--out", f"{tmp_path}/pieces/{job}"]
            + ["--job", job, "--num-jobs", "2", *CROPS]
        )
    merge_embeddings.main(
        ["--pieces", f"{tmp_path}/pieces", "--num", "2", "--out", f"{tmp_path}/joined"]
    )
    joined = load_embeddings(f"scp:{tmp_path}/joined.scp")
    whole = load_embeddings(scp)
    assert joined[0] == whole[0]
    np.testing.assert_allclose(joined[1], whole[1], atol=1e-5)


def test_audio_files_are_cut_as_waveforms(write_model, tmp_path):
    model = SpeakerModel.load(write_model(tmp_path / "m.pt"))
    samples = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) * 0.1
    found = model.embed(samples, 16000, crops=EvenCrops(4, 1.0))
    alone = [model.embed(samples[place : place + 16000], 16000) for place in (0, 1333, 2666, 4000)]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    short = model.embed(samples[:12_000], 16000, crops=EvenCrops(2, 1.0))
    wrapped = np.concatenate([samples[:12_000], samples[:4_000]])
    np.testing.assert_allclose(short[1], model.embed(wrapped, 16000), atol=1e-5)


def test_what_takes_whole_utterances_refuses_crops(embedded):
    with pytest.raises(InputError, match=r"e.ark: '.*' is a matrix of 10 rows.* not of crops"):
        load_vectors(embedded[2])


def test_bad_options_are_refused(embedded, tmp_path):
    model, data, _ = embedded
    arguments = ["--model", str(model), "--data", str(data), "--out", f"{tmp_path}/e2"]
    with pytest.raises(InputError, match="--crop-seconds 2 is of crops: give --crops N too"):
        program.main([*arguments, "--crop-seconds", "2"])
    embedder = Embedder.load(model)
    with pytest.raises(InputError, match="crops of 0.01 s are too short for the encoder"):
        EvenCrops(10, 0.01).require(max(2, embedder.encoder.min_frames))
