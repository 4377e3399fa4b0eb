"""Devices and lines: each does what its name says, keeps the length, and does not shift speech."""

import numpy as np
import pytest

from sv.audio import distortions as d

RATE = 16000


def speech_like(seconds=1.0, rate=RATE):
    time = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    return 0.2 * buzz * np.abs(np.sin(2 * np.pi * 2.3 * time))


def tone(hertz, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def level(samples):
    return 10 * np.log10(np.mean(samples**2))


def test_an_equaliser_raises_what_it_says():
    gain = d.equaliser(np.array([200.0, 800.0]), np.array([6.0, -6.0]))
    for hertz, decibel in ((100, 6), (200, 6), (400, 0), (800, -6), (3000, -6)):
        heard = d.filter_by(tone(hertz), RATE, gain)[2000:-2000]
        assert level(heard) - level(tone(hertz)) == pytest.approx(decibel, abs=0.1)


def test_a_near_microphone_has_bass_and_a_far_one_less_treble():
    near, far = (
        np.abs(d.distance(metres, 0.01)(np.array([100.0, 7000.0]))) for metres in (0.05, 2)
    )
    assert near[0] / near[1] > 5 * far[0] / far[1]
    high = np.arange(500.0, 7000.0)
    assert np.ptp(20 * np.log10(np.abs(d.distance(1.0, 0.2)(high)))) > 6  # the table's comb


def test_a_compressor_makes_loud_and_soft_more_alike():
    samples = np.concatenate([tone(300), 0.1 * tone(300)])
    out = d.compress(samples, RATE, -30.0, 4.0, 0.02)
    before = level(samples[4000:12000]) - level(samples[-12000:-4000])
    after = level(out[4000:12000]) - level(out[-12000:-4000])
    assert before == pytest.approx(20, abs=0.1) and after == pytest.approx(5, abs=0.3)
    assert np.allclose(d.compress(samples, RATE, 30.0, 4.0, 0.02), samples)  # never that loud


def test_distortion_adds_harmonics_and_clipping_cuts():
    spectrum = np.abs(np.fft.rfft(d.saturate(tone(500), 3.0)))
    assert spectrum[1000] > 0.01 * spectrum[500] and spectrum[1500] > 0.05 * spectrum[500]
    cut = d.clip(speech_like(), 0.02)
    assert 0.015 < np.mean(np.abs(cut) >= np.abs(cut).max() - 1e-12) < 0.025


def test_packets_are_lost_in_the_share_and_the_bursts_that_were_asked():
    samples = np.random.default_rng(1).standard_normal(RATE * 400)
    out = d.lose_packets(samples, RATE, 0.05, 2.0, np.random.default_rng(0))
    lost = (out.reshape(-1, 320) != samples.reshape(-1, 320)).any(axis=1)
    starts = np.sum(lost[1:] & ~lost[:-1])
    assert lost.mean() == pytest.approx(0.05, abs=0.01)
    assert lost.sum() / starts == pytest.approx(2.0, abs=0.3)
    first = int(lost.argmax())
    assert np.array_equal(out[first * 320 :][:320], 0.5 * samples[(first - 1) * 320 :][:320])


@pytest.mark.parametrize("codec", d.CODECS)
def test_a_codec_changes_speech_and_keeps_its_place_and_length(codec):
    for rate in d.CODECS[codec][2]:
        samples = speech_like(0.51, rate)
        coded = d.code(samples, rate, codec, 0.3)
        assert len(coded) == len(samples)
        noise = level(coded - samples) - level(samples)
        assert -45 < noise < -8, (codec, rate, noise)  # as a shift by two samples would be
        assert np.array_equal(coded, d.code(samples, rate, codec, 0.3))


def test_resampling_takes_away_what_is_above_half_the_rate():
    there = d.resample(tone(5000) + tone(1000), RATE, 8000)
    assert len(there) == RATE // 2
    spectrum = np.abs(np.fft.rfft(d.resample(there, 8000, RATE)))
    assert spectrum[5000] < 0.02 * spectrum[1000]
