import numpy as np
import pytest

from sv.errors import InputError
from sv.features.vad import VOXCELEB, energy_decisions, log_energy
from sv.inference.speech import SpeechMeter


def test_pieces_give_the_decisions_of_the_whole():
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.uniform(0, 1, 12) > 0.5, 4000)
    whole = (np.where(loud, 0.1, 1e-4) * rng.standard_normal(48_000)).astype(np.float32)
    expected = energy_decisions(log_energy(whole), VOXCELEB)
    assert 0 < expected.mean() < 1
    for size in (97, 1000, 48_000):
        meter = SpeechMeter(16000)
        pieces = (whole[at : at + size] for at in range(0, len(whole), size))
        assert sum(map(len, meter.passing(pieces))) == meter.samples == 48_000
        np.testing.assert_array_equal(meter.speech(), expected)
        assert meter.seconds == pytest.approx(expected.mean() * 3.0)


def test_an_hour_of_silence_has_no_speech():
    meter = SpeechMeter(16000)
    hiss = (1e-4 * np.random.default_rng(1).standard_normal(60 * 16000)).astype(np.float32)
    for _ in range(60):
        meter.add(hiss)
    with pytest.raises(InputError, match=r"a\.wav: too little speech to decide: 0\.0 s found"):
        meter.require("a.wav", 0.5)
    assert SpeechMeter(16000).seconds == 0.0
