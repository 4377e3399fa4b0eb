"""Long recordings: blocks give the embedding of one pass, for every encoder and pooling."""

import numpy as np
import pytest
import soundfile
import torch

import sv
from sv.crops.index import TrainingIndex
from sv.encoders import ENCODERS, build_encoder
from sv.features.normalise import normalise
from sv.inference import long
from sv.inference.embedder import Embedder
from sv.inference.long import encode_long

MEL, TOLERANCE = 24, 1e-5
CASES = [
    *(("fast_resnet34", {"pooling": pooling}) for pooling in ("mean", "stats", "sap", "asp")),
    *(("thin_resnet34", {"pooling": pooling}) for pooling in ("mean", "stats", "sap", "asp")),
    ("resnet34_2023", {}),
    ("ecapa", {"variant": "paper"}),
    ("ecapa", {"variant": "speechbrain"}),
    ("separative", {"sources": 2}),
    ("separative", {"sources": 1}),
]
SIZES = {
    "ecapa": {"channels": 32, "pooled_channels": 48, "res2net_scale": 4},
    "separative": {"channels": 16, "pooled_channels": 24, "blocks": 3},
}


def make(name, settings):
    torch.manual_seed(3)
    sizes = SIZES.get(name, {"channels": [16, 16, 16, 32]})
    encoder = build_encoder(
        ENCODERS[name][1](mel_bins=MEL, embedding_dim=12, **sizes, **settings)
    ).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return encoder


def recording(frames):
    """Features that change all the time: loud at the end, so a lost block or seam is seen."""
    generator = torch.Generator().manual_seed(frames)
    drift = torch.randn(frames, MEL, generator=generator).cumsum(0) * 0.1
    return drift + torch.randn(frames, MEL, generator=generator)


def apart(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_blocks_give_the_embedding_of_one_pass(name, settings):
    encoder = make(name, settings)
    features = recording(803)
    with torch.inference_mode():
        whole = encoder(normalise(features, "mean")[None])
        for core in (256, 333, 802):  # even cuts, uneven ones, and a last block of one frame
            found = encode_long(encoder, features, "mean", core=core)
            assert apart(found, whole) < TOLERANCE
        # The test sees a seam: with less context than the encoder has, the vectors differ.
        encoder.reach = 0
        assert apart(encode_long(encoder, features, "mean", core=256), whole) > TOLERANCE


@pytest.mark.parametrize("kind", ["none", "mean", "mean_var"])
def test_the_normalisation_is_that_of_the_whole_recording(kind):
    encoder, features = make("ecapa", {}), 3 + 2 * recording(500)
    with torch.inference_mode():
        whole = encoder(normalise(features, kind)[None])
        assert apart(encode_long(encoder, features, kind, core=120), whole) < TOLERANCE


def test_an_encoder_that_attends_to_all_frames_hears_equal_parts():
    encoder = make("separative", {"trunk": "galr"})
    assert encoder.reach is None
    features, shares = recording(500), []
    with torch.inference_mode():
        parts = torch.cat([encoder(part[None]) for part in features.split(125)])
        found = encode_long(encoder, features, core=150, tick=shares.append)
    assert apart(found[0], parts.mean(0)) < TOLERANCE
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_progress_rises_to_one():
    shares = []
    with torch.inference_mode():
        encode_long(make("fast_resnet34", {}), recording(900), core=256, tick=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 20


@pytest.fixture
def short_blocks(monkeypatch):
    """Recordings are long from two seconds on, so that tests need no minutes of audio."""
    monkeypatch.setattr(long, "LONG_SECONDS", 2)
    monkeypatch.setattr(long, "BLOCK_SECONDS", 1)


def test_a_long_utterance_in_a_batch_of_short_ones(tmp_path, write_model, write_features, request):
    embedder = Embedder.load(write_model(tmp_path / "m.pt"))
    index = TrainingIndex.load(write_features(tmp_path / "data", [150, 431, 90, 260]))
    lengths = torch.from_numpy(index.lengths.astype(np.int64))
    windows = torch.from_numpy(index.read_windows(np.arange(4), np.zeros(4, np.int64), 431))
    whole = embedder(windows, lengths)
    request.getfixturevalue("short_blocks")
    assert apart(embedder(windows, lengths), whole) < TOLERANCE


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_a_long_file_is_read_in_pieces(tmp_path, write_model, request, rate, channels):
    model = sv.load(write_model(tmp_path / "m.pt"))
    samples = 0.1 * np.random.default_rng(0).standard_normal((5 * rate, channels))
    soundfile.write(tmp_path / "a.flac", samples, rate)
    whole = model.embed_file(tmp_path / "a.flac")
    request.getfixturevalue("short_blocks")
    shares = []
    found = model.embed_file(tmp_path / "a.flac", tick=shares.append)
    assert apart(torch.from_numpy(found), torch.from_numpy(whole)) < TOLERANCE
    assert shares[-1] == 1.0
    again = model.embed(soundfile.read(tmp_path / "a.flac")[0], rate)
    assert apart(torch.from_numpy(again), torch.from_numpy(whole)) < TOLERANCE
