"""The exported filterbank against the one of training."""

import numpy as np
import pytest
import torch

from sv.features import fbank
from sv.features.fbank_graph import FbankLayer


@pytest.mark.parametrize(("rate", "bins"), [(16000, 80), (8000, 40), (44100, 80)])
def test_the_layer_gives_the_filterbank(rate, bins):
    rng = np.random.default_rng(0)
    time = np.arange(rate // 2) / rate
    waveform = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.01 * rng.standard_normal(len(time)) + 0.1
    exact = fbank(waveform, rate, bins)  # float64
    layer = FbankLayer(rate, bins)
    found = layer(torch.tensor(waveform, dtype=torch.float32)[None])[0].numpy()
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, atol=2e-3)
    assert np.abs(found - exact).mean() < 2e-5


def test_silence_is_at_the_floor_and_one_frame_is_enough():
    layer = FbankLayer(16000, 40)
    np.testing.assert_array_equal(
        layer(torch.zeros(2, 400)).numpy(), fbank(np.zeros((2, 400), np.float32), 16000, 40)
    )
