"""Noise, music and babble for crops: drawn as numbers, then read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sv.crops.codes import read_windows
from sv.crops.index import TrainingIndex
from sv.crops.starts import starts_anywhere
from sv.features.augment import AugmentConfig

AT_ONCE = 16
"""Windows that are read together; they must fit the second-level cache."""

MIXED_BABBLE = "mixed_babble"
"""The kind of babble that stage 2 has summed (``sv.crops.mixed_babble``)."""


@dataclass
class NoiseBank:
    """Sounds to add to crops: an index of them, and the kind of each sound.

    ``rows``: kind (``noise``, ``music``, ``speech``) → places in the index. Babble is summed from
    ``speech``, or from other training utterances if the bank has no ``speech``. If ``talkers`` is
    the range of talkers that is asked for, babble is one of the sums in ``rows[MIXED_BABBLE]``.
    """

    index: TrainingIndex
    rows: dict[str, np.ndarray]
    talkers: list[int] | None = None


@dataclass
class NoisePlan:
    """The sounds that are added to each crop, and their SNR.

    Shapes, with (...) the shape of the crops:
    kinds: names of the kinds that can be drawn.
    kind: (...) place in ``kinds``, -1 for no noise.
    snr: (...) dB, +inf for no noise.
    sounds: (..., most) places in the index that `sounds_of` returns for the kind, -1 for none.
        Noise and music are one sound; babble is the sum of several.
    starts: (..., most) first row of each sound.
    """

    kinds: list[str]
    kind: np.ndarray
    snr: np.ndarray
    sounds: np.ndarray
    starts: np.ndarray

    def part(self, own: slice) -> "NoisePlan":
        """Return the plan for the items ``own`` of (count, batch) crops."""
        return NoisePlan(self.kinds, *(values[:, own] for values in self._arrays()))

    def reshape(self, shape: tuple[int, ...]) -> "NoisePlan":
        """Return the plan of the same crops in another shape."""
        crops = self.kind.ndim
        return NoisePlan(
            self.kinds,
            *(values.reshape(*shape, *values.shape[crops:]) for values in self._arrays()),
        )

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.kind, self.snr, self.sounds, self.starts


def noise_kinds(augment: AugmentConfig, bank: NoiseBank | None) -> dict[str, list[float]]:
    """Return kind → range of SNR in dB, for the kinds that can be drawn."""
    ranges = {"noise": augment.noise_snr, "music": augment.music_snr}
    banked = bank.rows if bank else {}
    kinds = {kind: ranges[kind] for kind in ranges if len(banked.get(kind, ()))}
    if bank and bank.talkers == augment.babble_speakers:
        kinds[MIXED_BABBLE] = augment.babble_snr
    elif augment.babble_speakers[1] > 0:
        kinds["babble"] = augment.babble_snr
    return kinds


def babble_is_banked(bank: NoiseBank | None) -> bool:
    """Return whether babble is summed from the bank, and not from other training utterances."""
    return bank is not None and len(bank.rows.get("speech", ())) > 0


def sounds_of(kind: str, index: TrainingIndex, bank: NoiseBank | None) -> TrainingIndex:
    """Return the index that holds the sounds of a kind: the bank's, or the training set."""
    return bank.index if kind != "babble" or babble_is_banked(bank) else index


def draw_noises(
    utterances: np.ndarray,
    length: int,
    index: TrainingIndex,
    bank: NoiseBank | None,
    augment: AugmentConfig,
    rng: np.random.Generator,
) -> NoisePlan:
    """Draw the sounds for a crop of ``length`` rows of each of ``utterances`` (n,)."""
    kinds, count = noise_kinds(augment, bank), len(utterances)
    most = max(1, augment.babble_speakers[1] if "babble" in kinds else 1)
    noisy = rng.random(count) < augment.noise_probability
    plan = NoisePlan(
        list(kinds),
        kind=np.where(noisy, rng.integers(0, len(kinds), count), -1),
        snr=np.full(count, np.inf, dtype=np.float32),
        sounds=np.full((count, most), -1),
        starts=np.zeros((count, most), dtype=np.int64),
    )
    for number, (kind, (low, high)) in enumerate(kinds.items()):
        (rows,) = np.nonzero(plan.kind == number)
        plan.snr[rows] = rng.uniform(low, high, len(rows))
        if kind == "babble":
            sounds = draw_talkers(utterances[rows], index, bank, augment, rng)
        else:
            sounds = rng.choice(bank.rows[kind], len(rows))[:, None]
        plan.sounds[rows, : sounds.shape[1]] = sounds
        lengths = sounds_of(kind, index, bank).lengths
        for column, chosen in enumerate(sounds.T):
            there = chosen >= 0
            starts = starts_anywhere(lengths[chosen[there]], length, rng)
            plan.starts[rows[there], column] = starts
    return plan


def draw_talkers(
    utterances: np.ndarray,
    index: TrainingIndex,
    bank: NoiseBank | None,
    augment: AugmentConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw several other talkers for each crop: (n, most) places in the index of babble, or -1."""
    low, high = augment.babble_speakers
    count = rng.integers(low, high + 1, len(utterances))
    shape = (len(utterances), high)
    if babble_is_banked(bank):
        talkers = rng.choice(bank.rows["speech"], shape)
    else:
        talkers = (utterances[:, None] + rng.integers(1, len(index), shape)) % len(index)
    return np.where(np.arange(high) < count[:, None], talkers, -1)


def read_noises(
    plan: NoisePlan,
    length: int,
    index: TrainingIndex,
    bank: NoiseBank | None,
    empty: Callable[..., np.ndarray] = np.empty,
) -> np.ndarray:
    """Read ``length`` rows of the sounds for each crop: (n, length, *row_shape) float32.

    The crops of the plan have the shape (n,). A crop without noise gets zeros. ``empty`` makes the
    array. All single sounds of a batch are read in one pass, whatever their kind.
    """
    noise = empty((len(plan.kind), length, *index.row_shape), dtype=np.float32)
    noise[plan.kind < 0] = 0
    babble = plan.kinds.index("babble") if "babble" in plan.kinds else len(plan.kinds)
    single = np.flatnonzero((plan.kind >= 0) & (plan.kind != babble))
    if len(single):
        read_each(plan.sounds[single, 0], plan.starts[single, 0], length, bank.index, noise, single)
    several = np.flatnonzero(plan.kind == babble)
    if len(several):
        source = sounds_of("babble", index, bank)
        read_sums(plan.sounds[several], plan.starts[several], length, source, noise, several)
    return noise


def read_noise_codes(
    plan: NoisePlan,
    length: int,
    index: TrainingIndex,
    bank: NoiseBank | None,
    empty: Callable[..., np.ndarray] = np.empty,
) -> tuple[np.ndarray, np.ndarray]:
    """Read what ``read_noises`` reads as 16-bit codes (n, length, mel) and scales (n, 2).

    Every noise must be one sound. Babble of one file is not converted to power and back here, so
    its values differ from those of ``read_noises`` by that rounding (some 1e-6).
    """
    codes = empty((len(plan.kind), length, *index.row_shape), dtype=np.uint16)
    scales = np.zeros((len(plan.kind), 2), np.float32)
    codes[plan.kind < 0] = 0
    of_bank = np.array([sounds_of(kind, index, bank) is not index for kind in plan.kinds])
    for source, wanted in ((index, False), (bank and bank.index, True)):
        rows = np.flatnonzero((plan.kind >= 0) & (of_bank[plan.kind] == wanted))
        if len(rows):
            sounds, starts = plan.sounds[rows, 0], plan.starts[rows, 0]
            read_windows(source, sounds, starts, codes, scales, rows)
    return codes, scales


def read_each(
    sounds: np.ndarray,
    starts: np.ndarray,
    length: int,
    source: TrainingIndex,
    out: np.ndarray,
    places: np.ndarray,
) -> None:
    """Read sounds (n,) into the windows ``places`` (n,) of ``out``, float32."""
    if source.dtype == np.float32:
        source.read_windows(sounds, starts, length, out, places)
        return
    for first in range(0, len(sounds), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        out[places[part]] = source.read_windows(sounds[part], starts[part], length)


def read_sums(
    sounds: np.ndarray,
    starts: np.ndarray,
    length: int,
    source: TrainingIndex,
    out: np.ndarray,
    places: np.ndarray,
) -> None:
    """Read the sum of the sounds (n, most) of each crop into windows of ``out``; -1: no sound.

    A few crops are read at a time, so that powers stay in the cache until they are summed.
    """
    at_once = max(1, AT_ONCE // sounds.shape[1])
    for first in range(0, len(sounds), at_once):
        part = slice(first, first + at_once)
        there = sounds[part] >= 0
        voices = source.read_windows(sounds[part][there], starts[part][there], length)
        power, end = source.to_power(voices), 0
        for place, count in zip(places[part], there.sum(axis=1), strict=True):
            total = np.add.reduce(power[end : end + count], axis=0, out=out[place])
            source.from_power(total)
            end += count
