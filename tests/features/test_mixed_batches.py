"""Batches of mixtures: the very same for one process, and for as many as share them."""

import hashlib

import numpy as np
import pytest
import torch

from sv.data.batches import RandomBatches
from sv.data.index import TrainingIndex
from sv.data.views import CropGroup, NoiseBank, ViewSource
from sv.data.wave_index import WaveformIndex
from sv.features.augment import AugmentConfig
from sv.features.mixing import MixingConfig

ITEMS = 6
GROUPS = [CropGroup("mixtures", 3, 0.2, sources=True), CropGroup("views", 2, 0.2)]
MIXING = MixingConfig(probability=0.7, interferers=[1, 2])
DRAWS = ("noise", "snr", "room", "masks", "speed", "partner", "level")


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
        mel_bands=8,
        mixing=MIXING,
        own=own,
    )


def digest(batches):
    found = hashlib.sha256()
    for batch in batches:
        found.update(batch.utterances.numpy().tobytes())
        for name in sorted(batch.crops):
            crops = batch.crops[name]
            found.update(crops.features.numpy().tobytes())
            for draw in DRAWS:
                value = getattr(crops.draws, draw)
                found.update(b"-" if value is None else value.numpy().tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize(
    ("domain", "expected"), [("fbank", "bbcc3d237cf6ab61"), ("wave", "45d1d1ad7c7ce547")]
)
def test_batches_of_one_process_never_change(index_of, domain, expected):
    """Else a training that was stopped would go on with other batches, and seeds repeat nothing."""
    views = source(index_of[domain], domain)
    assert digest([views[0, 0], views[3, 1]]) == expected
