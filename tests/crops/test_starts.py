"""Two crops that share no frame: where they lie, how they are read, what they refuse."""

import numpy as np
import pytest
import torch

from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.starts import starts_apart
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import AugmentConfig

PLAIN = AugmentConfig(noise_probability=0, room_probability=0)
APART = [CropGroup("views", 2, 0.4, apart=True)]


def source(index, groups=APART, seed=0, **options):
    return ViewSource(
        index, groups, RandomBatches(len(index), 4, seed), PLAIN, seed=seed, **options
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory, write_features):
    """Crops have 40 frames, so that the utterances of 50 and 60 are short of a pair."""
    folder = tmp_path_factory.mktemp("data")
    return TrainingIndex.load(write_features(folder, [81, 200, 95, 50, 120, 60, 80, 300]))


def test_crops_lie_inside_and_share_nothing_and_every_gap_occurs():
    rows = np.full(20_000, 11)
    first, second = starts_apart(rows, 4, np.random.default_rng(0))
    assert first.min() == 0 and (second + 4).max() == 11
    assert (second - first).min() == 4  # one begins where the other ends
    assert set((second - first - 4).tolist()) == {0, 2}  # twice half a gap of 0…3 frames


def test_gap_and_pivot_are_uniform_as_published():
    """Against the formula, counted over all gaps and pivots of a short utterance."""
    length, crop = 13, 4
    expected = {}
    for gap in range(length - 2 * crop + 1):
        pivots = range(crop + gap // 2, length - crop - gap // 2 + 1)
        for pivot in pivots:
            pair = (pivot - gap // 2 - crop, pivot + gap // 2)
            share = 1 / (length - 2 * crop + 1) / len(pivots)
            expected[pair] = expected.get(pair, 0) + share
    drawn = starts_apart(np.full(200_000, length), crop, np.random.default_rng(1)).T.tolist()
    counts = {pair: 0 for pair in expected}
    for pair in drawn:
        counts[tuple(pair)] += 1
    for pair, share in expected.items():
        assert counts[pair] / len(drawn) == pytest.approx(share, abs=0.004)


def test_each_view_is_a_crop_and_short_utterances_are_repeated_to_two_crops(index):
    for epoch in range(3):
        for step in range(2):
            batch = source(index)[epoch, step]
            for item, utterance in enumerate(batch.utterances.tolist()):
                frames = int(index.lengths[utterance])
                whole = index.read_windows(np.array([utterance]), np.array([0]), max(frames, 80))[0]
                starts = [
                    next(s for s in range(len(whole) - 39) if np.array_equal(whole[s : s + 40], v))
                    for v in batch.crops["views"].signal[:, item].numpy()
                ]
                assert starts[1] - starts[0] >= 40
                if frames < 80:
                    assert starts == [0, 40]


def test_a_share_of_a_process_is_part_of_the_whole_and_draws_are_pure(index):
    whole = source(index)[2, 1].crops["views"].signal
    parts = [source(index, own=rows)[2, 1] for rows in (slice(2), slice(2, 4))]
    assert torch.equal(torch.cat([p.crops["views"].signal for p in parts], dim=1), whole)
    assert not torch.equal(source(index, seed=1)[2, 1].crops["views"].signal, whole)
    reference = CropGroup("reference", 1, 0.6, augment=False)
    both = source(index, [*APART, reference])[2, 1].crops
    assert torch.equal(both["views"].signal, whole)


def test_waveforms(tmp_path, write_waves):
    waves = WaveformIndex.load(write_waves(tmp_path, [14000, 13279, 9000, 20000]))
    features = source(waves)[0, 0].crops["views"].signal
    assert features.shape == (2, 4, 6640) and features.dtype == torch.int16
    assert all(not torch.equal(one, other) for one, other in zip(*features, strict=True))


def settings(crops, *more):
    from sv.training.experiment import Experiment

    small = ["model.name=fast_resnet34", "model.mel_bins=8", "data.crop_seconds=0.4"]
    quiet = ["augment.room_probability=0", "augment.noise_probability=0", "train.batch_size=2"]
    return Experiment.load(None, [*small, *quiet, f"data.crops={crops}", *more])


def refusal(index, out, *more):
    from sv.errors import InputError
    from sv.training.trainer import Trainer

    with pytest.raises(InputError) as caught:
        Trainer(settings("apart", *more), index, out)
    return str(caught.value)


def test_what_cannot_be_taken_apart_is_refused(index, tmp_path, write_features):
    short = TrainingIndex.load(write_features(tmp_path / "data", [90, 39, 100, 8]))
    text = refusal(short, tmp_path)
    assert "2 of 4 utterances are shorter than one crop of 0.4 s, the first is 'utt001'" in text
    assert "data.crops=independent" in text
    dino = ["method.name=dino", "method.outputs=8", "method.global_seconds=0.4"]
    assert "method dino does not learn from two crops" in refusal(index, tmp_path, *dino)
    assert not (tmp_path / "checkpoints").exists()


def test_a_method_asks_for_what_the_settings_say():
    from sv.crops.groups import DataConfig
    from sv.methods.simclr import SimCLR, SimCLRConfig

    encoder = torch.nn.Identity()
    encoder.embedding_dim = 4
    method = SimCLR(encoder, SimCLRConfig())
    assert [group.apart for group in method.crop_groups(DataConfig(crops="apart"))] == [True]
    assert [group.apart for group in method.crop_groups(DataConfig())] == [False]
