import numpy as np
import pytest
import torch

from sv.crops.banks import energy_decay, noise_kind
from sv.errors import InputError
from sv.features.augment import AugmentConfig, Draws, RoomBank, augment, mix
from sv.features.filterbank import fbank


def log_mel(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_noise_is_mixed_at_exactly_the_drawn_snr():
    speech, noise = log_mel(2, 3, 50, 8).exp(), log_mel(2, 3, 50, 8, seed=1).exp()
    snr = torch.tensor([[0.0, 7.5, 15.0], [-5.0, 20.0, torch.inf]])
    added = mix(speech, noise, snr) - speech
    measured = 10 * torch.log10(speech.sum((-2, -1)) / added.sum((-2, -1)))
    torch.testing.assert_close(measured[:, :2], snr[:, :2], atol=1e-3, rtol=0)
    assert added[1, 2].abs().max() == 0  # +inf dB: nothing added


def test_silent_noise_changes_nothing_and_stays_finite():
    speech = log_mel(1, 20, 4).exp()
    assert torch.isfinite(mix(speech, torch.zeros_like(speech), torch.zeros(1))).all()


def test_room_is_the_convolution_along_time_of_each_band():
    decays = torch.rand(3, 12, 5)
    power = torch.rand(2, 40, 5)
    result = RoomBank(decays).convolve(power, torch.tensor([2, -1]))
    naive = torch.zeros(40, 5)
    for t in range(40):
        for k in range(min(12, t + 1)):
            naive[t] += decays[2, k] * power[0, t - k]
    torch.testing.assert_close(result[0], naive, rtol=1e-4, atol=1e-5)
    assert torch.equal(result[1], power[1])  # -1: no room, not a bit changed


def test_rounding_of_the_transform_does_not_fill_the_pauses():
    power = torch.full((1, 100, 3), 1e-7)
    power[:, :20] = 100.0
    decays = torch.zeros(1, 5, 3)
    decays[:, 0], decays[:, 1] = 0.9, 0.1
    wet = RoomBank(decays).convolve(power.flip(1), torch.tensor([0]))  # the pause comes first
    torch.testing.assert_close(wet[:, :80].log(), (power.flip(1)[:, :80]).log(), atol=5, rtol=0)
    assert (wet >= 0.9 * power.flip(1)).all()


def test_a_silent_response_is_refused():
    with pytest.raises(InputError, match="silent"):
        energy_decay(np.zeros(1000, dtype=np.float32))


def test_without_draws_nothing_happens():
    features = log_mel(2, 3, 30, 8)
    assert augment(features, Draws()) is features


def test_masks_hide_cells_behind_the_mean_of_their_band():
    features = log_mel(1, 30, 4)
    masks = torch.zeros(1, 30, 4, dtype=torch.bool)
    masks[0, 5:9] = True
    result = augment(features, Draws(masks=masks))
    expected = features.mean(dim=1, keepdim=True).expand(1, 4, 4)
    torch.testing.assert_close(result[0, 5:9], expected[0])
    torch.testing.assert_close(result[0, 9:], features[0, 9:])


def test_feature_domain_room_agrees_with_convolving_the_waveform():
    """The energy decay must predict the mel power of reverberated noise."""
    rng = np.random.default_rng(0)
    rate = 16000
    time = np.arange(rate // 2) / rate
    response = rng.standard_normal(rate // 2) * np.exp(-6.9 * time / 0.4)
    response[0] = 8.0
    bursts = rng.standard_normal(4 * rate) * (np.arange(4 * rate) // 4000 % 2) * 0.1
    wet = np.convolve(bursts, response)[: len(bursts)]
    decay = torch.from_numpy(energy_decay(response.astype(np.float32)))
    power = fbank(torch.from_numpy(bursts).float()).exp()
    ours = RoomBank(decay[None]).convolve(power[None], torch.tensor([0]))[0].log()
    truth = fbank(torch.from_numpy(wet).float())
    difference = (ours - truth)[50:]
    difference = difference - difference.mean()  # the decay is normalised in level
    smooth = torch.nn.functional.avg_pool2d(difference[None], (5, 8))
    dry = (power.log() - truth)[50:]
    dry = torch.nn.functional.avg_pool2d((dry - dry.mean())[None], (5, 8))
    assert smooth.std() < 0.5  # nepers; chance fluctuation of noise power remains
    assert smooth.std() < 0.2 * dry.std()


def test_impulse_decays_to_one_frame_whatever_came_before_it():
    response = np.zeros(4000, dtype=np.float32)
    response[1000] = -0.5
    decay = energy_decay(response, mel_bins=40, seconds=0.1)
    assert decay.shape == (10, 40)
    np.testing.assert_allclose(decay[0], 1.0, rtol=1e-5)
    np.testing.assert_allclose(decay[1:], 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("music/jazz/a.wav", "music"), ("noise/free/a.wav", "noise"), ("speech/x.wav", "speech")]
    + [("speech_commands_bg/a.flac", "noise"), ("music.wav", "noise")],
)
def test_kind_comes_from_the_folders(path, kind):
    from pathlib import Path

    assert noise_kind(Path(path)) == kind


@pytest.mark.parametrize(
    "bad", [{"noise_probability": 1.5}, {"noise_snr": [3.0]}, {"babble_speakers": [5, 3]}]
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        AugmentConfig(**bad)


def test_noise_sounds_in_the_room_if_it_comes_first():
    rooms = RoomBank(torch.rand(2, 5, 8) + 0.1)
    speech, noise = log_mel(3, 20, 8), log_mel(3, 20, 8, seed=1)
    snr, room = torch.tensor([0.0, 10.0, torch.inf]), torch.tensor([0, 1, -1])
    draws = Draws(noise=noise, snr=snr, room=room)
    wet = rooms.convolve(mix(speech.exp(), noise.exp(), snr), room).log()
    torch.testing.assert_close(augment(speech, draws, rooms, "noise_room"), wet)
    noisy = mix(rooms.convolve(speech.exp(), room), noise.exp(), snr).log()
    torch.testing.assert_close(augment(speech, draws, rooms), noisy)
    assert not torch.allclose(wet[:2], noisy[:2], atol=0.1)
