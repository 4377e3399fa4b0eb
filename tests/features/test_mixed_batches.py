"""Batches of mixtures: the very same for one process, and for as many as share them."""

import numpy as np
import pytest
import torch
from batch_digest import digest

from sv.crops.batches import RandomBatches
from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import AugmentConfig, RoomBank
from sv.features.augment_wave import WaveRooms
from sv.features.mixing import MixingConfig

ITEMS = 6
GROUPS = [CropGroup("mixtures", 3, 0.2, sources=True), CropGroup("views", 2, 0.2)]
MIXING = MixingConfig(probability=0.7, interferers=[1, 2])


@pytest.fixture(scope="module")
def index_of(tmp_path_factory, write_features, write_waves):
    """Domain → an index of a dozen utterances, shorter and longer than a crop."""
    folder = tmp_path_factory.mktemp("data")
    features = write_features(folder / "fbank", [15 + 3 * n for n in range(12)])
    waves = write_waves(folder / "wave", [3000 + 300 * n for n in range(12)])
    return {"fbank": TrainingIndex.load(features), "wave": WaveformIndex.load(waves)}


def source(index, domain, own=None):
    augment = AugmentConfig(
        noise_probability=0.8,
        room_probability=0.6,
        babble_speakers=[0, 0],  # sums of exponentials, which processors round differently
        time_masks=1,
        time_mask_frames=4,
        speeds=[0.9, 1.0, 1.1] if domain == "wave" else [1.0],
    )
    noises = NoiseBank(index, {"noise": np.arange(4), "music": np.arange(4, 9)})
    return ViewSource(
        index,
        GROUPS,
        RandomBatches(len(index), ITEMS, 0),
        augment,
        seed=5,
        noises=noises,
        rooms=3,
        mel_bins=8,
        mixing=MIXING,
        own=own,
    )


@pytest.mark.parametrize(
    ("domain", "expected"), [("fbank", "bbcc3d237cf6ab61"), ("wave", "45d1d1ad7c7ce547")]
)
def test_batches_of_one_process_never_change(index_of, domain, expected):
    """Else a training that was stopped would go on with other batches, and seeds repeat nothing."""
    views = source(index_of[domain], domain)
    assert digest([views[0, 0], views[3, 1]]) == expected


SHARES = [
    [slice(0, 3), slice(3, 6)],
    [slice(0, 1), slice(1, 6)],
    [slice(n, n + 1) for n in range(6)],
]


def front_end(domain):
    generator = torch.Generator().manual_seed(2)
    if domain == "fbank":
        return FrontEnd("mean", 8, rooms=RoomBank(torch.rand(3, 5, 8, generator=generator)))
    rooms = WaveRooms(torch.randn(3, 400, generator=generator))
    return FrontEnd("mean", 8, sample_rate=16000, rooms=rooms)


@pytest.mark.parametrize("domain", ["fbank", "wave"])
@pytest.mark.parametrize("shares", SHARES, ids=len)
def test_a_share_of_the_mixtures_is_part_of_the_whole(index_of, domain, shares):
    """Whoever reads an item mixes the same others into it, in their rooms and at their speeds."""
    prepare, device, guests = front_end(domain), torch.device("cpu"), 0
    whole = source(index_of[domain], domain)[1, 0]
    parts = [source(index_of[domain], domain, own)[1, 0] for own in shares]
    for name, crops in whole.crops.items():
        made = [part.crops[name] for part in parts]
        assert torch.equal(torch.cat([part.items for part in made], dim=1), crops.items)
        mixtures, sources = zip(*(prepare.mixtures(part, device) for part in made), strict=True)
        for joined, expected in zip(
            (mixtures, sources), prepare.mixtures(crops, device), strict=True
        ):
            torch.testing.assert_close(torch.cat(joined, dim=1), expected, rtol=1e-4, atol=1e-4)
        for own, part in zip(shares, made, strict=True):
            mine = range(ITEMS)[own]
            assert part.draws.partner.shape[1] == len(mine) <= part.signal.shape[1] <= ITEMS
            guests += sum(item not in (-1, *mine) for item in part.items.flatten().tolist())
    assert guests > len(parts)
