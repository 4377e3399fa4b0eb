"""Which crops become the views of a batch, and which augmentation is drawn for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sv.config import option
from sv.crops.apart import read_apart, starts_apart
from sv.crops.batches import Batches
from sv.crops.index import TrainingIndex
from sv.crops.wave_index import Domain
from sv.features.augment import AugmentConfig, Draws
from sv.features.augment_wave import source_samples
from sv.features.mixing import MixingConfig, draw_interferers, of_share
from sv.features.normalise import Normalisation

FRAMES_PER_SECOND = 100
CROPS, SPEED, MIXING = 1, 2, 3
"""Set the streams of random numbers apart from that of the order (``sv.crops.batches``)."""


@dataclass
class DataConfig:
    """The crops that the network sees."""

    crop_seconds: float = option(
        2.0,
        "length of a crop. A longer crop tells more about the speaker; time grows in proportion",
    )
    crops: Literal["independent", "apart"] = option(
        "independent",
        "where the two crops of an utterance lie. independent: anywhere, so most "
        "pairs overlap; apart: they share no frame, which needs utterances of at "
        "least two crops (shorter ones are repeated to that length)",
    )
    domain: Domain = option(
        "fbank",
        "fbank: augment log-mel features, the cheaper way; wave: augment waveforms exactly, then "
        "compute features on the device (needs stages 1 and 2 with --wave true)",
    )
    normalise: Normalisation = option(
        "mean", "per-crop normalisation of each band: none, mean, or mean_var"
    )

    def __post_init__(self):
        if not 0.01 <= self.crop_seconds <= 1000:
            raise ValueError(f"crop_seconds must be between 0.01 and 1000, not {self.crop_seconds}")


@dataclass(frozen=True)
class CropGroup:
    """Crops of one kind that a method wants of every item of a batch.

    ``count`` crops of ``seconds`` each; without ``augment`` they stay as recorded. With ``sources``
    the method also gets what each mixture was made of (``sv.features.mixing``). With ``apart`` the
    crops are two, and share no frame (``sv.crops.apart``).
    """

    name: str
    count: int
    seconds: float
    augment: bool = True
    sources: bool = False
    apart: bool = False

    @property
    def frames(self) -> int:
        """Frames of 10 ms in a crop."""
        return round(self.seconds * FRAMES_PER_SECOND)


@dataclass
class Crops:
    """The crops of one group, before augmentation.

    features: (count, batch, frames, mel) log-mel, or (count, batch, samples) int16 waveforms;
        neither augmented nor normalised yet. Of a share of a batch with mixtures, crops of other
        shares that are mixed into its own follow these.
    frames: of 10 ms in each crop, once it is features.
    draws: what augmentation will do to each crop.
    sources: whether the method wants what mixtures were made of.
    items: of mixtures, (count, batch, 1 + most) positions in the whole batch of the crops that each
        is made of, the target's first, -1 for none.
    """

    features: Tensor
    frames: int
    draws: Draws = field(default_factory=Draws)
    sources: bool = False
    items: Tensor | None = None


@dataclass
class Batch:
    """One training batch.

    crops: name of a group → its crops.
    utterances: (batch,) or (count, batch) indices into the training set, as ``Batches`` gave them.
    """

    crops: dict[str, Crops]
    utterances: Tensor


@dataclass
class NoiseBank:
    """What to add to crops: an index of features, and which rows of it are of which kind.

    ``rows``: kind (``noise``, ``music``, ``speech``) → indices. Babble is summed from ``speech``,
    or from other training utterances where the bank has none.
    """

    index: TrainingIndex
    rows: dict[str, np.ndarray]


class ViewSource:
    """Makes the batch of any (epoch, step): random crops of its utterances.

    Everything is a pure function of (seed, epoch, step), so workers, restarts and other loaders
    give the same batches; a group of crops more changes nothing in the others. ``sv.crops.readers``
    reads it in processes of their own.
    """

    def __init__(
        self,
        index: TrainingIndex,
        groups: Sequence[CropGroup],
        batches: Batches,
        augment: AugmentConfig,
        *,
        seed: int,
        noises: NoiseBank | None = None,
        rooms: int = 0,
        mel_bands: int | None = None,
        mixing: MixingConfig | None = None,
        own: slice | None = None,
    ):
        """``own``: the items of each batch that are read here, by default all of them.

        The draws for an item, and its interferers, are the same whichever process reads it. If an
        interferer is an item of another share, it is read here as well.
        """
        self.index = index
        self.groups = list(groups)
        self.batches = batches
        self.augment = augment
        self.seed = seed
        self.noises = noises
        self.rooms = rooms
        self.mel_bands = mel_bands or index.dim
        self.mixing = mixing or MixingConfig()
        self.own = own or slice(None)

    def __getitem__(self, epoch_and_step: tuple[int, int]) -> Batch:
        epoch, step = epoch_and_step
        chosen = self.batches(epoch, step)
        rng = np.random.default_rng([self.seed, epoch, step, SPEED])
        speeds = rng.choice(self.augment.speeds, chosen.shape[-1]).astype(np.float32)
        crops = {}
        for number, group in enumerate(self.groups):
            key = [self.seed, epoch, step, CROPS, number]
            mixed = None
            if group.sources or (group.augment and self.mixing.probability > 0):
                # From numbers of its own, so that nothing else moves.
                utterances = np.broadcast_to(chosen, (group.count, chosen.shape[-1]))
                rng = np.random.default_rng([*key, MIXING])
                mixed = draw_interferers(utterances, self.mixing, rng)
            rng = np.random.default_rng(key)
            crops[group.name] = self._crops(group, chosen, speeds, rng, mixed)
        return Batch(crops, torch.from_numpy(chosen[..., self.own].astype(np.int64)))

    def _crops(self, group: CropGroup, chosen: np.ndarray, speeds: np.ndarray, rng, mixed) -> Crops:
        """Read the crops of a group, and what is drawn for them.

        mixed: interferers and levels of the whole batch, as ``draw_interferers`` gives them.
        """
        shape = (group.count, chosen.shape[-1])
        utterances = (np.broadcast_to(chosen, shape) if chosen.ndim == 1 else chosen).reshape(-1)
        places = np.arange(len(utterances)).reshape(shape)
        own = needed = places[:, self.own]
        draws, items = {}, None
        if mixed is not None:
            partner, level = mixed
            columns, draws["partner"] = of_share(partner, self.own)
            needed = np.take_along_axis(places, columns, axis=1)
            draws["level"] = level[:, self.own]
            items = np.insert(partner, 0, places[0], axis=2)[:, self.own]
        rows = self.index.rows(group.frames)
        if group.augment and self.augment.speeds != [1.0]:
            rows = source_samples(rows, max(self.augment.speeds))
            draws["speed"] = np.tile(speeds, group.count)[needed]
        if group.apart:
            lengths = self.index.frames[chosen].astype(np.int64)
            starts = starts_apart(lengths, rows, rng).reshape(-1)
            mine = needed.reshape(-1)
            features = read_apart(self.index, utterances[mine], starts[mine], rows)
        else:
            features = self._windows(self.index, utterances, rows, rng, needed.reshape(-1))
        if group.augment:
            keep = np.zeros(len(utterances), dtype=bool)
            keep[own] = True
            drawn = self._draw(utterances, group.frames, rng, keep, needed.reshape(-1))
            draws |= {k: v.reshape(group.count, -1, *v.shape[1:]) for k, v in drawn.items()}
        return Crops(
            torch.from_numpy(features).unflatten(0, needed.shape),
            group.frames,
            Draws(**{k: torch.from_numpy(v) for k, v in draws.items()}),
            group.sources,
            None if items is None else torch.from_numpy(items),
        )

    def _windows(
        self, index: TrainingIndex, utterances: np.ndarray, length: int, rng, keep: np.ndarray
    ) -> np.ndarray:
        """Read a random crop of ``length`` rows of each utterance: (n, length, *row_shape).

        Crops are drawn for all utterances and read of those that ``keep`` says: (n,) bool, or the
        places of them in an order of its own.

        One that is shorter than a crop is repeated from a random row on, so that its views
        still differ.
        """
        rows = index.frames[utterances].astype(np.int64)
        starts = rng.integers(0, np.where(rows < length, rows, rows - length + 1))
        return index.read_windows(utterances[keep], starts[keep], length)

    def _draw(
        self, crops: np.ndarray, frames: int, rng, keep: np.ndarray, heard: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Draw rooms of the crops that are ``heard`` here; noise and masks of those to ``keep``."""
        augment, draws = self.augment, {}
        if augment.room_probability > 0 and self.rooms:
            room = rng.integers(0, self.rooms, len(crops))
            room = np.where(rng.random(len(crops)) < augment.room_probability, room, -1)
            draws["room"] = room[heard]
        kinds = self.noise_kinds()
        if augment.noise_probability > 0 and kinds:
            rows = self.index.rows(frames)
            draws["noise"], draws["snr"] = self._draw_noise(crops, rows, kinds, rng, keep)
        if augment.time_masks or augment.band_masks:
            draws["masks"] = self._draw_masks(len(crops), frames, rng)[keep]
        return draws

    def noise_kinds(self) -> dict[str, list[float]]:
        """Return kind → range of SNR, for the kinds that can be drawn."""
        ranges = {"noise": self.augment.noise_snr, "music": self.augment.music_snr}
        banked = self.noises.rows if self.noises else {}
        kinds = {kind: ranges[kind] for kind in ranges if len(banked.get(kind, ()))}
        if self.augment.babble_speakers[1] > 0:
            kinds["babble"] = self.augment.babble_snr
        return kinds

    def _draw_noise(self, crops, length, kinds, rng, keep) -> tuple[np.ndarray, np.ndarray]:
        place = np.cumsum(keep) - 1
        noise = np.zeros((keep.sum(), length, *self.index.row_shape), dtype=np.float32)
        snr = np.full(len(crops), np.inf, dtype=np.float32)
        noisy = rng.random(len(crops)) < self.augment.noise_probability
        which = rng.integers(0, len(kinds), len(crops))
        for number, (kind, (low, high)) in enumerate(kinds.items()):
            (rows,) = np.nonzero(noisy & (which == number))
            snr[rows] = rng.uniform(low, high, len(rows))
            mine = keep[rows]
            if kind == "babble":
                sound = self._babble(crops[rows], length, rng, mine)
            else:
                picked = rng.choice(self.noises.rows[kind], len(rows))
                sound = self._windows(self.noises.index, picked, length, rng, mine)
            noise[place[rows[mine]]] = sound
        return noise, snr[keep]

    def _babble(self, crops: np.ndarray, length: int, rng, keep=None) -> np.ndarray:
        """Sum several other talkers for each crop: (crops, length, *row_shape)."""
        low, high = self.augment.babble_speakers
        count = rng.integers(low, high + 1, len(crops))
        shape = (len(crops), high)
        speech = self.noises.rows.get("speech", ()) if self.noises else ()
        if len(speech):
            source, talkers = self.noises.index, rng.choice(speech, shape)
        else:
            source = self.index
            talkers = (crops[:, None] + rng.integers(1, len(source), shape)) % len(source)
        keep = np.ones(len(crops), dtype=bool) if keep is None else keep
        place = np.cumsum(keep) - 1
        power = np.zeros((keep.sum(), length, *source.row_shape), dtype=np.float32)
        for number in range(high):
            (rows,) = np.nonzero(count > number)
            voices = self._windows(source, talkers[rows, number], length, rng, keep[rows])
            power[place[rows[keep[rows]]]] += source.to_power(voices)
        return source.from_power(power)

    def _draw_masks(self, crops: int, frames: int, rng) -> np.ndarray:
        """Draw SpecAugment's masks: (crops, frames, mel), true where hidden."""
        augment, bands = self.augment, self.mel_bands
        masks = np.zeros((crops, frames, bands), dtype=bool)
        for _ in range(augment.time_masks):
            masks |= _stretch(crops, frames, augment.time_mask_frames, rng)[:, :, None]
        for _ in range(augment.band_masks):
            masks |= _stretch(crops, bands, augment.band_mask_width, rng)[:, None, :]
        return masks


def _stretch(crops: int, size: int, longest: int, rng) -> np.ndarray:
    """Draw one stretch of 0…longest positions out of ``size`` for each crop: (crops, size)."""
    length = rng.integers(0, min(longest, size) + 1, crops)
    start = rng.integers(0, size - length + 1)
    position = np.arange(size)
    return (position >= start[:, None]) & (position < (start + length)[:, None])
