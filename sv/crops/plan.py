"""The draws for a batch, as numbers only, before anything is read.

A plan is a pure function of (seed, epoch, step) and covers the whole batch. A process takes its
own part of the plan, and reads only that. So the draws for an item are the same whichever process
reads it, and however many processes there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.neighbours import Neighbours
from sv.crops.noises import NoiseBank, NoisePlan, draw_noises, noise_kinds
from sv.crops.starts import starts_anywhere, starts_apart
from sv.features.augment import AugmentConfig
from sv.features.augment_wave import source_samples
from sv.features.mixing import MixingConfig, draw_interferers, of_share

CROPS, SPEED, MIXING, NEIGHBOURS = 1, 2, 3, 4
"""Make these streams of random numbers differ from that of the order (``sv.crops.batches``)."""


@dataclass
class Materials:
    """The inputs of the draws for a batch, besides its utterances.

    Parameters
    ----------
    index: the training set.
    groups: the crops that the method needs.
    augment, mixing: settings.
    seed: the seed of the training.
    noises: bank of noises, or None.
    rooms: number of rooms in the bank of rooms.
    mel_bins: mel bands of the network's input.
    neighbours: of each utterance, for the further crops of an item; None: all of one utterance.
    """

    index: TrainingIndex
    groups: Sequence[CropGroup]
    augment: AugmentConfig
    seed: int
    noises: NoiseBank | None = None
    rooms: int = 0
    mel_bins: int | None = None
    mixing: MixingConfig = field(default_factory=MixingConfig)
    neighbours: Neighbours | None = None


@dataclass
class GroupPlan:
    """The draws for the crops of one group; None for an augmentation that no crop gets.

    For each crop that is read, (count, heard). These are the items of the batch; in the plan of a
    part, items of other parts follow if they are mixed into its own items.
    utterances, starts: place in the training set, and first row.
    speed: of waveforms.
    room: place in the bank of rooms, -1 for none.

    For each item, (count, batch, ...).
    noise: the sounds that are added.
    time_masks, band_masks: (count, batch, masks, 2) first frame or band that is hidden, and the
        first one after it that is not.
    partner, level: (count, batch, most) for mixtures: place of each interferer among the crops that
        are read, -1 for none, and dB of the target relative to it.
    items: (count, batch, 1 + most) for mixtures: positions in the whole batch of the item and of
        its interferers, -1 for none.
    """

    group: CropGroup
    rows: int
    """Number of rows that are read for a crop."""
    utterances: np.ndarray
    starts: np.ndarray
    speed: np.ndarray | None = None
    room: np.ndarray | None = None
    noise: NoisePlan | None = None
    time_masks: np.ndarray | None = None
    band_masks: np.ndarray | None = None
    partner: np.ndarray | None = None
    level: np.ndarray | None = None
    items: np.ndarray | None = None

    def part(self, own: slice) -> "GroupPlan":
        """Return the plan of the items ``own`` of the batch."""
        count, batch = self.starts.shape
        columns, partner = np.tile(np.arange(batch)[own], (count, 1)), None
        if self.partner is not None:
            columns, partner = of_share(self.partner, own)

        def heard(values):
            return None if values is None else np.take_along_axis(values, columns, axis=1)

        def mine(values):
            return None if values is None else values[:, own]

        return GroupPlan(
            self.group,
            self.rows,
            heard(self.utterances),
            heard(self.starts),
            heard(self.speed),
            heard(self.room),
            noise=None if self.noise is None else self.noise.part(own),
            time_masks=mine(self.time_masks),
            band_masks=mine(self.band_masks),
            partner=partner,
            level=mine(self.level),
            items=mine(self.items),
        )


@dataclass
class BatchPlan:
    """The draws for a batch.

    utterances: (batch,) or (count, batch) indices into the training set, as ``Batches`` gave them.
    groups: name of a group → its plan.
    """

    utterances: np.ndarray
    groups: dict[str, GroupPlan]

    def part(self, own: slice) -> "BatchPlan":
        """Return the plan of the items ``own`` of the batch."""
        groups = {name: group.part(own) for name, group in self.groups.items()}
        return BatchPlan(self.utterances[..., own], groups)


def draw_batch(materials: Materials, utterances: np.ndarray, epoch: int, step: int) -> BatchPlan:
    """Draw the plan of a whole batch.

    Each group has a stream of random numbers of its own, so adding a group changes no other group.

    utterances: (batch,) or (count, batch), as in `BatchPlan`.
    """
    key = [materials.seed, epoch, step]
    rng = np.random.default_rng([*key, SPEED])
    speeds = rng.choice(materials.augment.speeds, utterances.shape[-1]).astype(np.float32)
    groups = {}
    for number, group in enumerate(materials.groups):
        of_group = [*key, CROPS, number]
        groups[group.name] = draw_group(materials, group, utterances, speeds, of_group)
    return BatchPlan(utterances, groups)


def draw_group(
    materials: Materials,
    group: CropGroup,
    utterances: np.ndarray,
    speeds: np.ndarray,
    key: list[int],
) -> GroupPlan:
    """Draw the plan of one group of crops.

    utterances: (batch,) or (count, batch), as in `BatchPlan`, of at least as many crops.
    speeds: (batch,), shared by all groups.
    key: seed of the stream of random numbers of this group.
    """
    index, augment, mixing = materials.index, materials.augment, materials.mixing
    rng = np.random.default_rng(key)
    shape = (group.count, utterances.shape[-1])
    # A batch may name more utterances of an item than this group has crops.
    own = utterances if utterances.ndim == 1 else utterances[: group.count]
    of_crops = np.broadcast_to(own, shape)
    if materials.neighbours is not None:
        # A separate stream, so that the draws below are those of one span.
        chosen = np.random.default_rng([*key, NEIGHBOURS])
        of_crops = materials.neighbours.draw(utterances, group.count, chosen)
    rows = index.rows(group.frames)
    faster = group.augment and augment.speeds != [1.0]
    if faster:
        rows = source_samples(rows, max(augment.speeds))
    if group.apart:
        starts = starts_apart(index.lengths[utterances], rows, rng)
    else:
        starts = starts_anywhere(index.lengths[of_crops.reshape(-1)], rows, rng)
    plan = GroupPlan(group, rows, of_crops, starts.reshape(shape))
    if faster:
        plan.speed = np.broadcast_to(speeds, shape)
    if group.augment:
        draw_augmentation(plan, materials, rng)
    if group.sources or (group.augment and mixing.probability > 0):
        # A separate stream, so that the draws above are the same without mixtures.
        rng = np.random.default_rng([*key, MIXING])
        plan.partner, plan.level = draw_interferers(of_crops, mixing, rng)
        itself = np.broadcast_to(np.arange(shape[1]), shape)[..., None]
        plan.items = np.concatenate([itself, plan.partner], axis=2)
    return plan


def draw_augmentation(plan: GroupPlan, materials: Materials, rng: np.random.Generator) -> None:
    """Add rooms, noises and masks to the plan of a group."""
    augment, shape, frames = materials.augment, plan.starts.shape, plan.group.frames
    if augment.room_probability > 0 and materials.rooms:
        room = rng.integers(0, materials.rooms, shape)
        plan.room = np.where(rng.random(shape) < augment.room_probability, room, -1)
    if augment.noise_probability > 0 and noise_kinds(augment, materials.noises):
        length, utterances = materials.index.rows(frames), plan.utterances.reshape(-1)
        bank = materials.noises
        noise = draw_noises(utterances, length, materials.index, bank, augment, rng)
        plan.noise = noise.reshape(shape)
    if augment.time_masks or augment.band_masks:
        longest, widest = augment.time_mask_frames, augment.band_mask_width
        plan.time_masks = draw_stretches(shape, augment.time_masks, frames, longest, rng)
        plan.band_masks = draw_stretches(shape, augment.band_masks, materials.mel_bins, widest, rng)


def draw_stretches(
    shape: tuple[int, int], count: int, size: int, longest: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw stretches of 0…longest of ``size`` positions: (*shape, count, 2), first and end."""
    stretches = np.empty((*shape, count, 2), np.int64)
    for number in range(count):
        length = rng.integers(0, min(longest, size) + 1, shape)
        start = rng.integers(0, size - length + 1)
        stretches[..., number, 0], stretches[..., number, 1] = start, start + length
    return stretches


def hidden(stretches: np.ndarray, size: int) -> np.ndarray:
    """Return which of ``size`` positions lie in a stretch: (..., count, 2) → (..., size) bool."""
    position = np.arange(size)
    inside = (position >= stretches[..., :1]) & (position < stretches[..., 1:])
    return inside.any(axis=-2)
