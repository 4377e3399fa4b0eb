"""Augmentation of waveforms: exact SNR, true convolution, and features as everywhere else."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from sv.crops.banks import cut_response, energy_decay
from sv.features.augment import Draws, RoomBank, augment
from sv.features.augment_wave import (
    WaveRooms,
    augment_waves,
    change_speed,
    mix_at_snr,
    source_samples,
)
from sv.features.filterbank import fbank

RATE = 16000


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_noise_is_mixed_at_exactly_the_drawn_snr():
    speech, other = 0.1 * noise(2, 3, 4000), 900 * noise(2, 3, 4000, seed=1) + 3000
    snr = torch.tensor([[0.0, 7.5, 15.0], [-5.0, 20.0, torch.inf]])
    added = mix_at_snr(speech, other, snr) - speech
    measured = 10 * torch.log10(speech.var(-1) / added.var(-1))
    torch.testing.assert_close(measured[:, :2], snr[:, :2], atol=2e-3, rtol=0)
    assert added[1, 2].abs().max() == 0  # +inf dB: nothing added


def test_silence_changes_nothing_and_stays_finite():
    speech, silence = noise(1, 2000), torch.zeros(1, 2000)
    torch.testing.assert_close(mix_at_snr(speech, silence, torch.zeros(1)), speech)
    assert torch.equal(mix_at_snr(silence, speech, torch.zeros(1)), silence)


@pytest.mark.parametrize("samples", [700, 5000])  # one block, several
def test_room_is_the_convolution(samples):
    responses = noise(3, 300) * torch.exp(-torch.arange(300) / 60)
    waves = noise(2, 2, samples, seed=1)
    room = torch.tensor([[2, -1], [0, 2]])
    wet = WaveRooms((responses * 3000).to(torch.int16)).convolve(waves, room)
    for view in range(2):
        for item in range(2):
            number = int(room[view, item])
            if number < 0:
                assert torch.equal(wet[view, item], waves[view, item])  # not a bit changed
                continue
            response = (responses[number] * 3000).to(torch.int16).double().numpy()
            response /= np.sqrt(np.square(response).sum())
            expected = fftconvolve(waves[view, item].double().numpy(), response)[:samples]
            np.testing.assert_allclose(wet[view, item], expected, atol=3e-5)


def test_speed_moves_the_pitch_and_one_changes_nothing():
    samples = 8000
    time = torch.arange(source_samples(samples, 1.1)) / RATE
    waves = torch.sin(2 * torch.pi * 1000 * time).expand(2, 2, -1)
    speed = torch.tensor([[1.1, 0.9], [1.0, 1.1]])
    played = change_speed(waves, speed, samples)
    assert played.shape == (2, 2, samples)
    assert torch.equal(played[1, 0], waves[1, 0, :samples])
    peaks = torch.fft.rfft(played * torch.hann_window(samples)).abs().argmax(-1) * RATE / samples
    torch.testing.assert_close(peaks, 1000.0 * speed, atol=2.0, rtol=0)
    edge = played[..., -200:].abs().amax(-1)  # filled to the end
    assert (edge > 0.9).all()


def test_features_are_those_of_extraction():
    """A batch of crops gives what each crop alone gives, from int16 too, and under autocast."""
    waves = (3000 * noise(2, 3, 16240)).to(torch.int16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = augment_waves(waves, Draws(), frames=100, mel_bins=40)
    assert features.shape == (2, 3, 100, 40) and features.dtype == torch.float32
    for wave, crop in zip(waves.flatten(0, 1), features.flatten(0, 1), strict=True):
        assert torch.equal(fbank(wave.float() / 32768, RATE, 40), crop)


def test_masks_and_speed_reach_the_features():
    waves, masks = noise(1, 1, 2024), torch.zeros(1, 1, 10, 20, dtype=torch.bool)
    masks[..., 3:5, :] = True
    draws = Draws(masks=masks, speed=torch.tensor([[1.1]]))
    features = augment_waves(waves, draws, frames=10, mel_bins=20)
    played = fbank(change_speed(waves, draws.speed, 1840)[0, 0], RATE, 20)
    torch.testing.assert_close(features[0, 0, 3:5], played.mean(0).expand(2, -1))
    torch.testing.assert_close(features[0, 0, 5:], played[5:])


def test_both_domains_agree_in_expectation():
    """Speech-like bursts in a room with noise: the same settings, the same mean features.

    The feature domain adds powers and spreads energies; the truth fluctuates around that. White
    noise has the same spectrum as the speech here, so that the two measures of SNR agree.
    """
    rng = np.random.default_rng(0)
    samples = 8 * RATE + 240
    response = rng.standard_normal(RATE // 2) * np.exp(-6.9 * np.arange(RATE // 2) / (0.4 * RATE))
    response[0] = 8.0
    bursts = torch.from_numpy(rng.standard_normal(samples) * (np.arange(samples) // 4000 % 2))
    waves, other = 0.1 * bursts.float()[None], 0.1 * noise(1, samples)
    draws = Draws(room=torch.tensor([0]), snr=torch.tensor([10.0]), noise=other)
    cut = torch.from_numpy(cut_response(response.astype(np.float32)))
    exact = augment_waves(waves, draws, WaveRooms(cut[None]), frames=800, mel_bins=40)
    decay = torch.from_numpy(energy_decay(response.astype(np.float32), mel_bins=40))
    draws.noise = fbank(other, RATE, 40)
    dry = fbank(waves, RATE, 40)
    model = augment(dry, draws, RoomBank(decay[None]))

    def smooth(features):
        features = features[:, 50:] - features[:, 50:].mean()
        return torch.nn.functional.avg_pool2d(features, (10, 8))

    error = (smooth(model) - smooth(exact)).std()
    assert error < 0.25  # nepers
    assert error < 0.15 * (smooth(dry) - smooth(exact)).std()


def test_noise_sounds_in_the_room_if_it_comes_first():
    frames, samples = 20, 19 * 160 + 400
    responses = noise(1, 300) * torch.exp(-torch.arange(300) / 60)
    rooms, waves, other = WaveRooms(responses), 0.1 * noise(1, samples), noise(1, samples, seed=1)
    draws = Draws(noise=other, snr=torch.tensor([3.0]), room=torch.tensor([0]))
    how = {"frames": frames, "mel_bins": 20}
    wet = rooms.convolve(mix_at_snr(waves, other, draws.snr), draws.room)
    made = augment_waves(waves, draws, rooms, order="noise_room", **how)
    torch.testing.assert_close(made, fbank(wet, RATE, 20))
    noisy = mix_at_snr(rooms.convolve(waves, draws.room), other, draws.snr)
    torch.testing.assert_close(augment_waves(waves, draws, rooms, **how), fbank(noisy, RATE, 20))
    assert not torch.allclose(wet, noisy, atol=0.05)


def test_the_order_of_the_settings_reaches_the_crops(tmp_path, write_features):
    from sv.crops.index import TrainingIndex
    from sv.errors import InputError
    from sv.training.experiment import Experiment
    from sv.training.trainer import Trainer

    index = TrainingIndex.load(write_features(tmp_path / "data", [60] * 4))
    words = ["model.mel_bins=8", "data.crop_seconds=0.3", "train.batch_size=2"]
    words += ["augment.order=noise_room", "augment.room_probability=0", "train.workers=0"]
    trainer = Trainer(Experiment.load(None, words), index, tmp_path / "exp")
    assert trainer.front_end.order == "noise_room"
    mixtures = Experiment.load(None, [*words, "mixing.probability=0.5"])
    with pytest.raises(InputError, match="order noise_room does not work for mixtures"):
        Trainer(mixtures, index, tmp_path / "exp")
