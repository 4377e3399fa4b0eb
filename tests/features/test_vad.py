"""Energy decisions against loops written from Kaldi's definition."""

import math

import numpy as np
import pytest
import torch

from sv.errors import InputError
from sv.features import fbank
from sv.features.vad import VOXCELEB, EnergyVad, c0, energy_decisions, log_energy


def by_loops(values, options):
    """compute-vad, frame by frame."""
    threshold = options.threshold + options.mean_scale * sum(map(float, values)) / len(values)
    found = []
    for t in range(len(values)):
        loud = there = 0
        for other in range(t - options.context, t + options.context + 1):
            if 0 <= other < len(values):
                there += 1
                loud += values[other] > threshold
        wanted = np.float32(there) * np.float32(options.proportion)
        found.append(bool(loud >= wanted))
    return found


@pytest.mark.parametrize(
    "options",
    [
        EnergyVad(),
        VOXCELEB,
        EnergyVad(3.0, 0.0, 5, 0.6),
        EnergyVad(0.0, 1.0, 40, 0.5),
        EnergyVad(-2.0, 0.5, 2, 0.99),
    ],
)
@pytest.mark.parametrize("frames", [1, 2, 7, 300])
def test_decisions_are_those_of_the_definition(options, frames):
    values = np.random.default_rng(frames).normal(10, 6, frames).astype(np.float32)
    assert energy_decisions(values, options).tolist() == by_loops(values, options)


def test_three_of_five_frames_reach_a_proportion_of_six_tenths():
    values = np.array([9, 9, 0, 0, 9], dtype=np.float32)
    found = energy_decisions(values, EnergyVad(5.0, 0.0, 2, 0.6))
    assert found.tolist() == [True, False, True, False, False]


def test_kaldis_defaults_and_those_of_its_recipe():
    assert EnergyVad() == EnergyVad(threshold=5.0, mean_scale=0.5, context=0, proportion=0.6)
    assert (VOXCELEB.threshold, VOXCELEB.context, VOXCELEB.proportion) == (5.5, 2, 0.12)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_log_energy_is_that_of_each_frame_without_its_mean(rate):
    waveform = np.random.default_rng(0).uniform(-0.5, 0.9, rate).astype(np.float32)
    waveform[: rate // 4] = 0.25  # nothing but a constant: the floor
    found = log_energy(waveform, rate)
    window, shift = rate // 40, rate // 100
    for frame in range(len(found)):
        part = [32768.0 * float(x) for x in waveform[frame * shift : frame * shift + window]]
        mean = sum(part) / window
        energy = sum((x - mean) ** 2 for x in part)
        assert found[frame] == pytest.approx(math.log(max(energy, 2**-23)), abs=1e-4)
    assert len(found) == 98 and found[0] == pytest.approx(math.log(2**-23))


def test_log_energy_is_kaldis():
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    waveform = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    features = kaldi.mfcc(
        torch.from_numpy(waveform)[None] * 32768, use_energy=True, dither=0.0, energy_floor=0.0
    )
    assert np.allclose(log_energy(waveform), features[:, 0].numpy(), atol=1e-3)
    plain = kaldi.mfcc(torch.from_numpy(waveform)[None] * 32768, dither=0.0, num_mel_bins=23)
    assert np.allclose(c0(fbank(waveform, num_mel_bins=23)), plain[:, 0].numpy(), atol=1e-2)


def test_no_frames_and_wrong_input():
    assert energy_decisions(np.zeros(0)).shape == (0,) and log_energy(np.zeros(100)).shape == (0,)
    with pytest.raises(InputError, match=r"must be \(frames,\)"):
        energy_decisions(np.zeros((3, 2)))
    with pytest.raises(InputError, match="the proportion of the energy VAD: 1 is not"):
        EnergyVad(proportion=1)
    with pytest.raises(InputError, match="mean scale"):
        EnergyVad(mean_scale=-0.5)
