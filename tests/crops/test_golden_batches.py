"""The bits of batches, as hashes: what a (seed, epoch, step) draws and reads never changes.

Otherwise a training that was stopped would go on with other batches, and a seed would repeat
nothing.
"""

import numpy as np
import pytest
import torch
from batch_digest import DRAWS, digest

from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import AugmentConfig
from sv.features.mixing import MixingConfig

ITEMS = 6
TWO = [CropGroup("views", 2, 0.2)]
SEVERAL = [
    CropGroup("global", 2, 0.3),
    CropGroup("local", 3, 0.15),
    CropGroup("reference", 1, 0.4, augment=False),
]
APART = [CropGroup("views", 2, 0.15, apart=True), CropGroup("reference", 1, 0.4, augment=False)]
MIXTURES = [CropGroup("mixtures", 3, 0.2, sources=True), CropGroup("views", 2, 0.2)]
MIXING = MixingConfig(probability=0.7, interferers=[1, 2])

QUIET = {"noise_probability": 0.0, "room_probability": 0.0}
NO_BABBLE = {"noise_probability": 0.8, "room_probability": 0.6, "babble_speakers": [0, 0]}
MASKS = {"time_masks": 2, "time_mask_frames": 4, "band_masks": 1, "band_mask_width": 3}
BABBLE = {"noise_probability": 0.9, "room_probability": 0.5}
BANK = {"noise": 4, "music": 5, "speech": 3}


class Linear(TrainingIndex):
    """Features whose values add: processors round the exponentials of true babble differently."""

    def to_power(self, windows):
        return windows

    def from_power(self, power):
        return power


class Pairs(RandomBatches):
    """The two crops of an item come from two utterances."""

    def __call__(self, epoch, step):
        one = super().__call__(epoch, step)
        return np.stack([one, (one + 5) % self.utterances])


@pytest.fixture(scope="module")
def index_of(tmp_path_factory, write_features, write_waves):
    """Domain -> an index of a dozen utterances, shorter and longer than a crop."""
    folder = tmp_path_factory.mktemp("data")
    features = write_features(folder / "fbank", [15 + 3 * n for n in range(12)])
    waves = write_waves(folder / "wave", [3000 + 300 * n for n in range(12)])
    return {"fbank": Linear.load(features), "wave": WaveformIndex.load(waves)}


def bank_of(index, kinds):
    """Return a bank whose kinds have so many utterances each."""
    ends = np.cumsum([0, *kinds.values()])
    rows = {kind: np.arange(*ends[n : n + 2]) for n, kind in enumerate(kinds)}
    return NoiseBank(index, rows) if kinds else None


def source(index, groups, augment, own=None, kinds=BANK, mixing=None, batches=RandomBatches):
    return ViewSource(
        index,
        groups,
        batches(len(index), ITEMS, 0),
        AugmentConfig(**augment),
        seed=5,
        noises=bank_of(index, kinds),
        rooms=3,
        mel_bins=8,
        mixing=mixing,
        own=own,
    )


CASES = {
    "plain": (TWO, QUIET, {}),
    "several groups": (SEVERAL, NO_BABBLE | MASKS, {}),
    "apart": (APART, NO_BABBLE | MASKS, {}),
    "masks alone": (TWO, QUIET | MASKS, {}),
    "two utterances": (TWO, NO_BABBLE, {"batches": Pairs}),
    "babble of one file": (TWO, BABBLE | {"babble_speakers": [1, 1]}, {}),
    "babble of several files": (TWO, BABBLE | {"babble_speakers": [2, 4]}, {}),
    "babble of training utterances": (SEVERAL, BABBLE, {"kinds": {"noise": 4}}),
    "babble without a bank": (APART, BABBLE | MASKS, {"kinds": {}}),
    "mixtures": (MIXTURES, NO_BABBLE | MASKS, {"mixing": MIXING}),
    "mixtures in babble": (MIXTURES, BABBLE | MASKS, {"mixing": MIXING}),
    "mixtures of two utterances": (TWO, BABBLE, {"mixing": MIXING, "batches": Pairs}),
}
SHARES = {
    1: [slice(0, 6)],
    2: [slice(0, 3), slice(3, 6)],
    3: [slice(0, 1), slice(1, 4), slice(4, 6)],
}
EXPECTED = {
    ("plain", "fbank"): "1d19e2bb c1c16577 5a460ac6",
    ("plain", "wave"): "26d97af8 e80b4d5b 55103248",
    ("several groups", "fbank"): "54b6984b 16ea6bcc 4add47bb",
    ("several groups", "wave"): "10b82d8b 1009dec3 bebaa270",
    ("apart", "fbank"): "79c6a431 02266074 52c90a51",
    ("apart", "wave"): "c875efae 6ab85983 418d8e7e",
    ("masks alone", "fbank"): "a8336348 336744f6 a2b6fbda",
    ("masks alone", "wave"): "6d7f4684 e0a3d07a ecb6bbb9",
    ("two utterances", "fbank"): "299b3762 56656c63 de17fef8",
    ("two utterances", "wave"): "044ee485 67199315 0fe1b378",
    ("babble of one file", "fbank"): "1b27ced3 00f5a245 1e43405b",
    ("babble of one file", "wave"): "b35e4c09 342bf30d 8043e171",
    ("babble of several files", "fbank"): "d2b2aa9b 8dfbb614 c1f159d5",
    ("babble of several files", "wave"): "83de0bd4 c0c93202 060f1bed",
    ("babble of training utterances", "fbank"): "7af2f8cb cd4b4749 844a6887",
    ("babble of training utterances", "wave"): "148189ac 88a964e8 abafbe10",
    ("babble without a bank", "fbank"): "8a413fcd 3319be32 b2562fff",
    ("babble without a bank", "wave"): "c541fee4 390c2cc2 e4f92816",
    ("mixtures", "fbank"): "a7bd7667 df696e44 ce9cc127",
    ("mixtures", "wave"): "dcea6444 dfda8c7a 40674309",
    ("mixtures in babble", "fbank"): "8afae20f 73ffd6d0 ac72c8c5",
    ("mixtures in babble", "wave"): "5d5bd95e d58bbb21 5e2817c9",
    ("mixtures of two utterances", "fbank"): "6f9a9d78 2e0b4910 39f46565",
    ("mixtures of two utterances", "wave"): "73a1f722 39899240 35a80822",
}
"""(case, domain) -> the first digits of the hashes for one, two and three processes."""


def options(name, domain):
    groups, augment, more = CASES[name]
    speeds = [0.9, 1.0, 1.1] if domain == "wave" and name != "plain" else [1.0]
    return (groups, augment | {"speeds": speeds}), more


@pytest.mark.parametrize("domain", ["fbank", "wave"])
@pytest.mark.parametrize("name", CASES)
def test_batches_never_change(index_of, domain, name):
    """Those of one process, and the shares of two and of three."""
    words, more = options(name, domain)
    found = ""
    for shares in SHARES.values():
        parts = [source(index_of[domain], *words, own=own, **more) for own in shares]
        found += digest(part[key] for part in parts for key in ((0, 0), (3, 1)))[:8] + " "
    assert found.strip() == EXPECTED[name, domain]


@pytest.mark.parametrize("domain", ["fbank", "wave"])
@pytest.mark.parametrize("name", [name for name in CASES if "mixtures" not in name])
def test_shares_are_parts_of_the_whole(index_of, domain, name):
    words, more = options(name, domain)
    whole = source(index_of[domain], *words, **more)[2, 0]
    for shares in SHARES.values():
        parts = [source(index_of[domain], *words, own=own, **more)[2, 0] for own in shares]
        assert torch.equal(torch.cat([p.utterances for p in parts], dim=-1), whole.utterances)
        for group, crops in whole.crops.items():
            mine = [part.crops[group] for part in parts]
            assert torch.equal(torch.cat([part.signal for part in mine], dim=1), crops.signal)
            for draw in DRAWS:
                expected = getattr(crops.draws, draw)
                of_parts = [getattr(part.draws, draw) for part in mine]
                if expected is None:
                    assert of_parts == [None] * len(parts)
                else:
                    assert torch.equal(torch.cat(of_parts, dim=1), expected), draw


def test_the_order_of_room_and_noise_is_not_drawn(index_of):
    """The front end reads the order: a batch that is read is the same in both."""
    one, other = (
        source(index_of["fbank"], TWO, NO_BABBLE | {"order": order})[0, 0]
        for order in ("room_noise", "noise_room")
    )
    assert digest([one]) == digest([other])
