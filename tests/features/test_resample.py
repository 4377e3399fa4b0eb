"""Resampling on the device, against torchaudio and against a tone whose samples are known."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from peers import torchaudio

from sv.features.resample import resample


@pytest.mark.parametrize(("source", "target"), [(9, 10), (11, 10), (95, 100), (2, 1), (441, 160)])
@pytest.mark.parametrize("samples", [1, 17, 4000])
def test_equals_torchaudio(source, target, samples):
    waves = torch.randn(2, 3, samples, generator=torch.Generator().manual_seed(0)).double()
    expected = torchaudio("functional").resample(waves, source, target)
    found = resample(waves, source, target)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    single = resample(waves.float(), source, target)
    torch.testing.assert_close(single.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("source", "target"), [(9, 10), (11, 10), (16000, 8000)])
def test_a_tone_is_the_same_tone(source, target):
    """Away from the edges, where the filter sees zeros; 0.05 cycles a sample pass unchanged."""
    time = torch.arange(2000, dtype=torch.float64)
    found = resample(torch.sin(2 * np.pi * 0.05 * time), source, target)
    expected = np.sin(2 * np.pi * 0.05 * np.arange(len(found)) * source / target)
    np.testing.assert_allclose(found[50:-50], expected[50:-50], atol=2e-3)


def test_only_the_ratio_counts():
    waves = torch.randn(500, generator=torch.Generator().manual_seed(1))
    assert torch.equal(resample(waves, 18, 20), resample(waves, 9, 10))


@pytest.mark.whole
def test_training_on_waveforms_needs_no_torchaudio():
    code = (
        "import sys; sys.modules['torchaudio'] = None\n"
        "import torch, sv.features.augment_wave as module\n"
        "module.change_speed(torch.ones(1, 200), torch.tensor([1.1]), 100)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
