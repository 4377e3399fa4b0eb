"""Separating a file: sounds that add up, vectors, and a picture."""

import numpy as np
import pytest
import torch

from sv.audio.files import read_audio, write_audio
from sv.bin import separate as program
from sv.encoders import SeparativeConfig, build_encoder
from sv.errors import InputError
from sv.features.framing import num_frames
from sv.inference.separation import apply_masks, linear_gains
from sv.kaldi.arks import load_vectors


def model_of(path, sources=2):
    from sv import checkpoint

    torch.manual_seed(0)
    config = SeparativeConfig(
        mel_bins=20, channels=8, blocks=1, pooled_channels=8, embedding_dim=6, sources=sources
    )
    model = {"encoder": build_encoder(config).state_dict(), "model": vars(config)}
    checkpoint.save(path, {**model, "normalise": "mean", "epochs": [0]})
    return path


def test_masks_of_one_change_nothing_and_of_nothing_leave_silence():
    waveform = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    masks = torch.stack([torch.ones(48, 40), torch.zeros(48, 40), torch.full((48, 40), 0.25)])
    same, nothing, quarter = apply_masks(waveform, masks, 16000)
    torch.testing.assert_close(same, waveform, atol=1e-4, rtol=1e-4)
    assert nothing.abs().max() < 1e-6
    torch.testing.assert_close(quarter, 0.5 * waveform, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preset", ["kaldi", "sslsv"])
def test_a_mask_follows_time_and_frequency(preset):
    time = torch.arange(16000) / 16000
    waveform = torch.sin(2 * np.pi * 500 * time) + torch.sin(2 * np.pi * 4000 * time)
    frames = num_frames(16000, 16000, preset)
    masks = torch.zeros(1, frames, 40)
    masks[:, : frames // 2, :20] = 1  # the lower bands, in the first half
    (kept,) = apply_masks(waveform, masks, 16000, preset)
    spectrum = torch.fft.rfft(kept[:7000]).abs()
    assert spectrum.argmax().item() == pytest.approx(500 * 7000 / 16000, abs=2)
    assert kept[9500:].abs().max() < 0.01
    assert linear_gains(masks, 16000, preset).shape == (1, frames, 257)


def test_the_program(tmp_path, capsys):
    rng = np.random.default_rng(0)
    mixture = tmp_path / "two people.wav"
    write_audio(mixture, 0.1 * rng.standard_normal(16000), 16000)
    model = model_of(tmp_path / "final.pt")
    program.main([str(mixture), "--model", str(model), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "source1.wav" in printed and "% of the energy" in printed
    out = tmp_path / "out"
    ids, vectors = load_vectors(f"scp:{out / 'embeddings.scp'}")
    assert ids == ["source1", "source2"] and vectors.shape == (2, 6)
    for number in (1, 2):
        assert len(read_audio(out / f"source{number}.wav")) == 16000
    assert (out / "separation.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_that_does_not_separate(tmp_path):
    mixture = tmp_path / "a.wav"
    write_audio(mixture, np.full(16000, 0.1), 16000)
    model = model_of(tmp_path / "final.pt", sources=1)
    words = [str(mixture), "--model", str(model), "--out", str(tmp_path / "o")]
    with pytest.raises(InputError, match="of one source: train one that separates"):
        program.main(words)
    assert not (tmp_path / "o").exists()
    write_audio(mixture, np.full(400, 0.1), 16000)
    model = model_of(tmp_path / "final.pt")
    with pytest.raises(InputError, match="too short"):
        program.main(words)
