"""Online mixtures: who, how loud, and that powers (or waveforms) are what they should be."""

import numpy as np
import pytest
import torch

from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.views import ViewSource
from sv.features.augment import AugmentConfig, Draws
from sv.features.augment_wave import signal_power
from sv.features.mixing import MixingConfig, draw_interferers, mix_log_mel, mix_waves, sources_of

NOTHING = AugmentConfig(noise_probability=0, room_probability=0)


def draw(utterances, seed=0, **settings):
    config = MixingConfig(**{"probability": 1.0, **settings})
    return draw_interferers(np.asarray(utterances), config, np.random.default_rng(seed))


def test_an_interferer_is_never_of_the_targets_utterance():
    utterances = np.random.default_rng(0).integers(0, 4, (3, 16))  # many in common
    partner, level = draw(utterances, interferers=[2, 2])
    assert partner.shape == level.shape == (3, 16, 2)
    rows = np.arange(3)[:, None, None]
    assert (utterances[rows, partner] != utterances[:, :, None]).all()
    assert (partner[:, :, 0] != partner[:, :, 1]).all()
    assert level.min() >= -5 and level.max() <= 5


def test_nobody_is_drawn_where_nobody_is_left():
    partner, _ = draw([[7, 7, 7]])
    assert (partner == -1).all()


def test_numbers_and_probability():
    utterances = np.arange(4000)[None].repeat(2, 0)[:, :500]
    partner, _ = draw(utterances, probability=0.7, interferers=[1, 2])
    number = (partner >= 0).sum(axis=2)
    assert abs((number > 0).mean() - 0.7) < 0.05
    assert abs((number == 2).mean() - 0.35) < 0.05
    assert (partner[..., 0] >= partner[..., 1].clip(max=0)).all()  # filled from the front


@pytest.mark.parametrize("domain", ["power", "waves"])
def test_levels_are_exact_and_sources_add_up(domain):
    generator = torch.Generator().manual_seed(0)
    if domain == "power":
        signals = torch.rand(2, 4, 9, 5, generator=generator, dtype=torch.float64)
        power = signals.sum(dim=(-2, -1))
    else:
        signals = torch.randn(2, 4, 50, generator=generator, dtype=torch.float64)
        power = signal_power(signals)
    partner = torch.tensor([[[1], [2], [3], [-1]], [[2], [-1], [0], [1]]])
    level = torch.full((2, 4, 1), -3.0, dtype=torch.float64)
    sources = sources_of(signals, power, partner, level)
    assert sources.shape == (2, 4, 2, *signals.shape[2:])
    assert torch.equal(sources[:, :, 0], signals)
    assert (sources[0, 3, 1] == 0).all() and (sources[1, 1, 1] == 0).all()
    measure = sources.sum(dim=(-2, -1)) if domain == "power" else signal_power(sources)
    ratio = 10 * (measure[0, :3, 0] / measure[0, :3, 1]).log10()
    torch.testing.assert_close(ratio, torch.full((3,), -3.0, dtype=torch.float64))
    one = sources[0, 0, 1] / signals[0, 1]  # a scaled copy of the partner's crop
    torch.testing.assert_close(one, one.flatten()[0].expand_as(one))


def test_log_mel_of_mixture_is_the_sum_of_its_sources():
    log_mel = torch.randn(1, 3, 8, 4)
    partner = torch.tensor([[[1], [2], [-1]]])
    draws = Draws(partner=partner, level=torch.zeros(1, 3, 1))
    mixture, sources = mix_log_mel(log_mel, draws)
    torch.testing.assert_close(mixture.exp(), sources.exp().sum(dim=2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixture[0, 2], log_mel[0, 2], rtol=1e-4, atol=1e-5)


def test_mixtures_of_waveforms_are_near_those_of_features():
    generator = torch.Generator().manual_seed(0)
    waves = 0.1 * torch.randn(1, 4, 400 + 160 * 49, generator=generator)
    partner = torch.tensor([[[1], [2], [3], [0]]])
    draws = Draws(partner=partner, level=torch.full((1, 4, 1), 2.0))
    mixture, sources = mix_waves(waves, draws, frames=50, mel_bins=20)
    assert mixture.shape == (1, 4, 50, 20) and sources.shape == (1, 4, 2, 50, 20)
    # Powers add on average: the cross term is zero in the mean over frames and bands.
    ratio = mixture.exp().sum() / sources.exp().sum()
    assert ratio.item() == pytest.approx(1.0, abs=0.05)
    difference = sources[:, :, 0].exp().sum() / sources[:, :, 1].exp().sum()
    assert 10 * difference.log10().item() == pytest.approx(2.0, abs=0.1)


def view_source(folder, write_features, mixing, groups):
    index = TrainingIndex.load(write_features(folder, [60 + n for n in range(12)]))
    return ViewSource(index, groups, RandomBatches(12, 6, 0), NOTHING, seed=3, mixing=mixing)


def test_draws_depend_on_seed_epoch_and_step_alone_and_move_nothing_else(tmp_path, write_features):
    groups = [CropGroup("mixtures", 2, 0.3, sources=True), CropGroup("plain", 1, 0.3)]
    mixed = view_source(tmp_path, write_features, MixingConfig(probability=1.0), groups)
    again = view_source(tmp_path, write_features, MixingConfig(probability=1.0), groups)
    without = view_source(tmp_path, write_features, MixingConfig(), groups)
    _ = again[0, 0]
    a, b, c, d = mixed[1, 1], again[1, 1], without[1, 1], mixed[1, 0]
    for name in ("mixtures", "plain"):
        assert torch.equal(a.crops[name].draws.partner, b.crops[name].draws.partner)
        assert torch.equal(a.crops[name].draws.level, b.crops[name].draws.level)
        assert torch.equal(a.crops[name].signal, c.crops[name].signal)
    assert not torch.equal(a.crops["mixtures"].draws.level, d.crops["mixtures"].draws.level)
    assert c.crops["plain"].draws.partner is None
    assert (c.crops["mixtures"].draws.partner == -1).all()  # asked for, but nobody is drawn


@pytest.mark.parametrize(
    "settings", [{"probability": 2.0}, {"snr": [5.0, -5.0]}, {"interferers": [0, 1]}]
)
def test_senseless_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MixingConfig(**settings)
