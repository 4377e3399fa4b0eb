import numpy as np
import pytest
import torch

from sv.crops.batch_arrays import flatten, without_codes
from sv.crops.batches import RandomBatches
from sv.crops.front_end import on_device
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank, draw_noises, draw_talkers, read_noises, read_sums
from sv.crops.views import Batch, ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import AugmentConfig
from sv.kaldi.arks import ArkWriter

PLAIN = AugmentConfig(noise_probability=0, room_probability=0)


@pytest.fixture(scope="module")
def index(tmp_path_factory, write_features):
    folder = write_features(tmp_path_factory.mktemp("data"), [60, 80, 100, 25, 70, 90, 65, 75])
    return TrainingIndex.load(folder)


def source(index, augment=PLAIN, seed=0, **options):
    return of_two(index, 0.4, augment, seed=seed, **options)


def of_two(index, seconds, augment, *, batch_size=4, seed=0, **banks):
    batches = RandomBatches(len(index), batch_size, seed)
    groups = [CropGroup("views", 2, seconds)]
    return ViewSource(index, groups, batches, augment, seed=seed, **banks)


def test_views_are_crops_of_the_utterances_they_claim(index):
    batch = source(index)[0, 1]
    features = batch.crops["views"].signal
    assert features.shape == (2, 4, 40, 8)
    for position, utterance in enumerate(batch.utterances):
        whole = index.read_windows(
            np.array([utterance]), np.array([0]), int(index.lengths[utterance])
        )[0]
        if len(whole) < 40:
            whole = np.concatenate([whole, whole])
        for view in features[:, position].numpy():
            distances = [np.abs(whole[s : s + 40] - view).max() for s in range(len(whole) - 40 + 1)]
            assert min(distances) < 1e-6


def test_a_batch_is_a_pure_function_of_seed_epoch_and_step(index):
    augment = AugmentConfig(room_probability=0, time_masks=1, band_masks=1)
    sources = source(index, augment), source(index, augment), source(index, augment, seed=1)
    one, again, other = (made[3, 1].crops["views"] for made in sources)
    assert torch.equal(one.signal, again.signal)
    for name in ("noise", "snr", "masks"):
        assert torch.equal(getattr(one.draws, name), getattr(again.draws, name))
    assert not torch.equal(one.signal, other.signal)


def test_crops_of_the_two_views_differ(index):
    features = source(index)[0, 0].crops["views"].signal
    assert (features[0] != features[1]).any()


def test_groups_have_their_own_length_and_do_not_change_each_other(index):
    augment = AugmentConfig(room_probability=0)
    groups = [CropGroup("views", 2, 0.4), CropGroup("reference", 1, 0.6, augment=False)]
    both = ViewSource(index, groups, RandomBatches(len(index), 4, 0), augment, seed=0)[2, 1]
    alone = source(index, augment)[2, 1]
    assert both.crops["reference"].signal.shape == (1, 4, 60, 8)
    assert both.crops["reference"].draws.noise is None
    assert torch.equal(both.crops["views"].signal, alone.crops["views"].signal)


def test_views_of_one_item_may_come_from_different_utterances(index):
    class Pairs:
        steps = 1

        def __call__(self, epoch, step):
            return np.array([[0, 1], [2, 4]])

    batch = ViewSource(index, [CropGroup("views", 2, 0.4)], Pairs(), PLAIN, seed=0)[0, 0]
    assert batch.utterances.tolist() == [[0, 1], [2, 4]]
    for view, item, utterance in ((0, 1, 1), (1, 0, 2)):
        crop = batch.crops["views"].signal[view, item].numpy()
        frames = int(index.lengths[utterance])
        whole = index.read_windows(np.array([utterance]), np.array([0]), frames)[0]
        assert min(np.abs(whole[s : s + 40] - crop).max() for s in range(frames - 39)) < 1e-6


def test_views_of_an_utterance_shorter_than_a_crop_still_differ(tmp_path, write_features):
    index = TrainingIndex.load(write_features(tmp_path, [30] * 4))
    features = source(index)[0, 0].crops["views"].signal
    assert features.shape[2] == 40
    same = (features[0] == features[1]).all(dim=-1).all(dim=-1)
    assert same.sum() < 4


def test_kinds_of_noise_get_their_own_snr_and_their_own_rows(index, tmp_path, write_features):
    bank = TrainingIndex.load(write_features(tmp_path / "noise", [50] * 4, seed=9))
    noises = NoiseBank(
        bank, {"noise": np.array([0]), "music": np.array([2, 3]), "speech": np.array([])}
    )
    augment = AugmentConfig(
        noise_snr=[0, 1], music_snr=[10, 11], babble_speakers=[0, 0], room_probability=0
    )
    views = of_two(index, 0.5, augment, noises=noises)
    seen = set()
    for epoch in range(4):
        draws = views[epoch, 0].crops["views"].draws
        for noise, snr in zip(draws.noise.flatten(0, 1), draws.snr.flatten(), strict=True):
            row = next(r for r in range(4) if np.allclose(noise, bank_row(bank, r)))
            assert (row == 0 and 0 <= snr <= 1) or (row in (2, 3) and 10 <= snr <= 11)
            seen.add(row)
    assert seen == {0, 2, 3}


def bank_row(bank, row):
    return bank.read_windows(np.array([row]), np.array([0]), 50)[0]


def test_babble_never_contains_the_crop_itself(index):
    augment = AugmentConfig(room_probability=0, babble_speakers=[1, 1])
    crops = np.arange(8).repeat(50)
    talkers = draw_talkers(crops, index, None, augment, np.random.default_rng(0))[:, 0]
    assert (talkers != crops).all() and len(np.unique(talkers)) == 8


def babble_of(waves, speakers):
    """Return the babble of 500 samples that is drawn for each of eight utterances."""
    augment, rng = AugmentConfig(babble_speakers=speakers), np.random.default_rng(0)
    plan = draw_noises(np.arange(8), 500, waves, None, augment, rng)
    return read_noises(plan, 500, waves, None)


def test_share_of_augmented_crops(index):
    augment = AugmentConfig(noise_probability=0.5, room_probability=0.25)
    views = of_two(index, 0.1, augment, batch_size=8, rooms=7)
    draws = [views[epoch, 0].crops["views"].draws for epoch in range(60)]
    clean = torch.stack([d.snr for d in draws]).isinf().float().mean()
    room = torch.stack([d.room for d in draws])
    assert 0.42 < clean < 0.58
    assert 0.19 < (room >= 0).float().mean() < 0.31
    assert set(room.flatten().tolist()) == set(range(-1, 7))


def test_masks_are_no_longer_than_asked(index):
    augment = AugmentConfig(
        noise_probability=0, room_probability=0, time_masks=1, time_mask_frames=6
    )
    masks = source(index, augment)[0, 0].crops["views"].draws.masks
    hidden = masks.all(dim=-1).sum(dim=-1)
    assert hidden.max() <= 6 and hidden.sum() > 0
    assert masks.any(dim=-1).sum() == hidden.sum()  # whole frames


def test_crops_of_waveforms_are_long_enough_for_their_frames(tmp_path, write_waves):
    waves = WaveformIndex.load(write_waves(tmp_path, [9000 + 100 * n for n in range(8)]))
    noises = NoiseBank(waves, {"noise": np.array([0, 1])})
    augment = AugmentConfig(time_masks=1, babble_speakers=[2, 3])
    made = of_two(waves, 0.4, augment, noises=noises, mel_bins=20)
    crops = made[0, 1].crops["views"]
    assert crops.signal.dtype == torch.int16 and crops.signal.shape == (2, 4, 40 * 160 + 240)
    assert crops.draws.noise.shape == crops.signal.shape and crops.draws.speed is None
    assert crops.draws.masks.shape == (2, 4, 40, 20) and crops.frames == 40
    babble, voice = babble_of(waves, [2, 3]), babble_of(waves, [1, 1])
    assert 1.5 < babble.var() / voice.var() < 3.5  # powers of two or three talkers


def test_all_crops_of_an_utterance_share_its_speed(tmp_path, write_waves):
    waves = WaveformIndex.load(write_waves(tmp_path, [9000] * 8))
    augment = AugmentConfig(noise_probability=0, room_probability=0, speeds=[0.9, 1.0, 1.1])
    groups = [CropGroup("global", 2, 0.4), CropGroup("local", 3, 0.2)]
    groups.append(CropGroup("reference", 1, 0.4, augment=False))
    made = ViewSource(waves, groups, RandomBatches(8, 8, 0), augment, seed=0)
    crops = made[0, 0].crops
    assert crops["global"].signal.shape == (2, 8, 7304)  # ⌈1.1 · (40 · 160 + 240)⌉
    speeds = crops["global"].draws.speed
    assert len(speeds.unique()) > 1 and (speeds[0] == speeds[1]).all()
    assert (crops["local"].draws.speed == speeds[0]).all()
    assert crops["reference"].draws.speed is None
    assert not torch.equal(speeds, made[1, 0].crops["global"].draws.speed)


def test_processes_read_shares_of_the_very_same_batch(index):
    """Whatever is drawn, rooms and babble and masks, a share is a part of the whole."""
    augment = AugmentConfig(time_masks=2, band_masks=1, babble_speakers=[1, 3])
    whole = source(index, augment)[2, 0]
    first, second = (source(index, augment, own=rows)[2, 0] for rows in (slice(2), slice(2, 4)))
    assert torch.equal(torch.cat([first.utterances, second.utterances]), whole.utterances)
    for name, crops in whole.crops.items():
        one, other = first.crops[name], second.crops[name]
        assert torch.equal(torch.cat([one.signal, other.signal], dim=1), crops.signal)
        for draw, value in vars(crops.draws).items():
            if value is not None:
                parts = [getattr(one.draws, draw), getattr(other.draws, draw)]
                assert torch.equal(torch.cat(parts, dim=1), value), draw


def test_codes_decode_to_the_bits_of_features(tmp_path):
    """CM2, as stage 1 writes it; utterances shorter than a crop, and crops apart, too."""
    loaded, rng = {}, np.random.default_rng(0)
    matrices = [rng.standard_normal((n, 8), np.float32) for n in (60, 80, 100, 25, 70, 90)]
    for kind in ("CM2", "CM3"):
        folder = tmp_path / kind
        folder.mkdir()
        with ArkWriter(folder / "feats.ark", folder / "feats.scp", kind) as writer:
            for number, matrix in enumerate(matrices):
                writer.write(f"utt{number}", matrix)
        counts = "".join(f"utt{n} {len(matrix)}\n" for n, matrix in enumerate(matrices))
        (folder / "utt2num_frames").write_text(counts)
        loaded[kind] = TrainingIndex.load(folder)
    index = loaded["CM2"]
    assert index.codes and not loaded["CM3"].codes
    groups = [CropGroup("views", 2, 0.4), CropGroup("apart", 2, 0.3, apart=True)]
    augment = AugmentConfig(room_probability=0, noise_probability=0.7, babble_speakers=[1, 1])
    bank = NoiseBank(index, {"noise": np.arange(3)})

    def read(one, codes):
        batches = RandomBatches(len(one), 5, 0)
        made = ViewSource(one, groups, batches, augment, seed=0, noises=bank, codes=codes)
        return made[0, 0].crops

    coded, plain = read(index, True), read(index, False)
    for name in ("views", "apart"):
        assert coded[name].signal.dtype == coded[name].draws.noise.dtype == torch.uint16
        signal, draws = on_device(coded[name], torch.device("cpu"))
        assert torch.equal(signal, plain[name].signal) and draws.noise_scales is None
        arrays = without_codes(flatten(Batch(coded, torch.zeros(5)))[0])
        assert arrays.keys() == flatten(Batch(plain, torch.zeros(5)))[0].keys()
        assert torch.equal(arrays[f"{name}/signal"], signal)
        torch.testing.assert_close(draws.noise, plain[name].draws.noise, rtol=2e-6, atol=1e-6)
    assert read(loaded["CM3"], True)["views"].signal.dtype == torch.float32
    mixed = loaded["CM3"]
    mixed.codes = True  # an ark that is of another format where it was not looked at
    signal, _ = on_device(read(mixed, True)["views"], torch.device("cpu"))
    torch.testing.assert_close(signal, read(mixed, False)["views"].signal, rtol=0, atol=1e-4)


def test_babble_is_the_sum_in_the_order_of_its_talkers(index):
    """To the bit, however many crops are read at a time."""
    rng = np.random.default_rng(3)
    sounds = np.where(rng.random((9, 7)) < 0.7, rng.integers(0, len(index), (9, 7)), -1)
    starts, places = np.zeros_like(sounds), np.arange(9)[::-1]
    found = np.empty((9, 20, 8), np.float32)
    read_sums(sounds, starts, 20, index, found, places)
    for row, place in enumerate(places):
        power = np.zeros((20, 8), np.float32)
        for sound in sounds[row][sounds[row] >= 0]:
            power += np.exp(index.read_windows(np.array([sound]), np.array([0]), 20)[0])
        expected = np.log(np.maximum(power, np.finfo(np.float32).eps))
        np.testing.assert_array_equal(found[place], expected)
