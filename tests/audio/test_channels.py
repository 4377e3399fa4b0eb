import numpy as np
import pytest

from sv.audio.channels import Room, coloured_noise, draw_channel, line_gain, room_response, transmit


def speech_like(seconds=2.0):
    time = np.arange(int(seconds * 16000)) / 16000
    return np.sin(2 * np.pi * 150 * time) * np.abs(np.sin(2 * np.pi * 2 * time))


def octave_level(samples, centre):
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / 16000)
    band = (frequency > centre / 2**0.5) & (frequency < centre * 2**0.5)
    return 10 * np.log10(power[band].mean())


@pytest.mark.parametrize("t60", [0.2, 0.6])
def test_reverberation_decays_as_fast_as_asked(t60):
    room = Room(t60_low=t60, t60_high=t60, direct_to_reverberant=3.0, size=4.0)
    tail = room_response(room, np.random.default_rng(0)).astype(float)
    assert tail[0] == 1.0
    assert 10 * np.log10(1 / np.sum(tail[1:] ** 2)) == pytest.approx(3.0, abs=0.01)
    left = 10 * np.log10(np.cumsum(tail[:0:-1] ** 2)[::-1])  # Schroeder's integral
    begin, end = int(0.03 * 16000), int(0.35 * t60 * 16000)
    slope = np.polyfit(np.arange(begin, end) / 16000, left[begin:end], 1)[0]
    assert -60 / slope == pytest.approx(t60, rel=0.25)


def test_high_frequencies_die_first():
    room = Room(t60_low=0.8, t60_high=0.2, direct_to_reverberant=0.0, size=4.0)
    tail = room_response(room, np.random.default_rng(0))
    early, late = tail[800:2400], tail[4800:6400]
    fall = {f: octave_level(early, f) - octave_level(late, f) for f in (250, 4000)}
    assert fall[4000] > fall[250] + 10


@pytest.mark.parametrize("slope", [-6.0, -3.0, 0.0])
def test_noise_has_the_slope_asked(slope):
    noise = coloured_noise(160000, slope, np.random.default_rng(0))
    assert np.mean(noise**2) == pytest.approx(1.0)
    difference = octave_level(noise, 4000) - octave_level(noise, 500)
    assert difference == pytest.approx(3 * slope, abs=1.0)


def test_the_line_passes_its_band_only():
    channel = draw_channel(np.random.default_rng(0))
    inside, below, above = line_gain(
        channel, np.array([1000.0, channel.low_cut / 4, 2 * channel.high_cut])
    )
    assert 20 * np.log10(inside / below) > 20
    assert 20 * np.log10(inside / above) > 20


def test_received_speech_has_the_level_and_is_never_clipped():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        channel = draw_channel(rng)
        received = transmit(speech_like(), channel, room_response(channel.room, rng), rng)
        assert len(received) == len(speech_like())
        assert 10 * np.log10(np.mean(received**2)) == pytest.approx(channel.level, abs=1e-6)
        assert np.abs(received).max() <= 0.98
