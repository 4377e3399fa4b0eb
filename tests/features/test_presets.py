"""Other filterbanks than Kaldi's: against torchaudio, against a loop, and as a layer."""

import math

import numpy as np
import pytest
import torch
from peers import torchaudio

from sv.errors import InputError
from sv.features import fbank
from sv.features.fbank_graph import FbankLayer
from sv.features.filterbank import BLOCK
from sv.features.framing import frame_sizes, frames_lasting, num_frames, num_samples

WINDOWS = {"sslsv": torch.hamming_window, "sslsv_hann": torch.hann_window}


def speech(samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator).cumsum(0) / 10


@pytest.mark.parametrize("preset", WINDOWS)
def test_energies_are_those_of_torchaudio(preset):
    """Frames, too, are those of torchaudio: centred, and mirrored at the ends."""
    MelSpectrogram = torchaudio("transforms").MelSpectrogram

    theirs = MelSpectrogram(
        n_fft=512, win_length=400, hop_length=160, n_mels=40, window_fn=WINDOWS[preset],
        f_min=0.0, f_max=8000.0, mel_scale="htk", norm=None,
    )  # fmt: skip
    waveform = speech(16000)
    expected = (theirs(waveform) + 1e-6).log().T
    found = fbank(waveform, 16000, 40, preset)
    assert len(found) == 101 == num_frames(16000, 16000, preset)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preset", ["kaldi", *WINDOWS])
def test_samples_and_frames_fit_each_other(preset):
    for rate in (8000, 16000):
        window = frame_sizes(rate)[0]
        for frames in (4, 50, 201):
            samples = num_samples(frames, rate, preset)
            assert num_frames(samples, rate, preset) == frames
            assert num_frames(samples - 1, rate, preset) == frames - 1
        assert num_frames(window - 1, rate, preset) == 0 < num_frames(window, rate, preset)
    centred = preset != "kaldi"
    assert frames_lasting(2.0, preset) == 200 + centred
    assert num_samples(frames_lasting(2.0, preset), 16000, preset) == 32000 + 240 * (not centred)


def test_a_frame_equals_a_loop_over_bins():
    waveform = speech(400).double()
    found = fbank(waveform, 16000, 5, "sslsv")[1]
    # The second frame has its middle at sample 160, and the mirror begins before sample 0.
    frame = np.array([float(waveform[abs(160 - 200 + n)]) for n in range(400)])
    window = [0.54 - 0.46 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
    mel = np.linspace(0, 1127 * math.log1p(8000 / 700), 7)
    corners = [700 * math.expm1(value / 1127) for value in mel]
    for band in range(5):
        left, centre, right = corners[band : band + 3]
        energy = 0.0
        for place, value in enumerate(power):
            hz = place * 16000 / 512
            if left < hz <= centre:
                energy += value * (hz - left) / (centre - left)
            elif centre < hz < right:
                energy += value * (right - hz) / (right - centre)
        assert float(found[band]) == pytest.approx(math.log(energy + 1e-6), abs=1e-6)


@pytest.mark.parametrize("preset", ["kaldi", *WINDOWS])
def test_blocks_batches_gradients_and_the_exported_layer_give_the_same(preset):
    waveform = speech((BLOCK + 300) * 160 + 400)
    whole = fbank(waveform, 16000, 40, preset)
    assert whole.shape == (num_frames(len(waveform), 16000, preset), 40)
    exact = fbank(waveform.double(), 16000, 40, preset).float()
    torch.testing.assert_close(whole, exact, atol=2e-3, rtol=1e-4)
    layer = FbankLayer(16000, 40, preset)(waveform[None])[0]
    torch.testing.assert_close(layer, whole, atol=2e-3, rtol=1e-4)
    pair = fbank(torch.stack([waveform[:4000], waveform[4000:8000]]), 16000, 40, preset)
    torch.testing.assert_close(pair[1], fbank(waveform[4000:8000], 16000, 40, preset))
    short = waveform[:2000].requires_grad_()
    fbank(short, 16000, 40, preset).sum().backward()
    assert short.grad.isfinite().all() and short.grad.any()


def test_silence_and_unknown_names():
    silent = fbank(torch.zeros(800), 16000, 40, "sslsv")
    assert silent.unique().tolist() == pytest.approx([math.log(1e-6)])
    with pytest.raises(InputError, match="features.preset 'htk' is none of kaldi, sslsv"):
        fbank(torch.zeros(800), 16000, 40, "htk")
