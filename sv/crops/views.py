"""The views of a batch: drawn as a plan of numbers, then read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sv.crops.batches import Batches
from sv.crops.codes import read_windows
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.neighbours import Neighbours
from sv.crops.noises import NoiseBank, noise_kinds, read_noise_codes, read_noises
from sv.crops.plan import BatchPlan, GroupPlan, Materials, draw_batch, hidden
from sv.crops.starts import read_apart
from sv.features.augment import AugmentConfig, Draws
from sv.features.mixing import MixingConfig


@dataclass
class Crops:
    """The crops of one group, before augmentation.

    signal: (count, batch, frames, mel) log-mel, or (count, batch, samples) int16 waveforms; neither
        augmented nor normalised yet. Log-mel may be 16-bit codes (``sv.crops.codes``). If this is
        a part of a batch with mixtures, crops of other parts follow that are mixed into its own.
    frames: number of frames of 10 ms in each crop, after the filterbank.
    draws: the draws of augmentation for each crop.
    sources: whether the method needs the sources of mixtures.
    items: for mixtures, (count, batch, 1 + most) positions in the whole batch of the crops in each
        mixture, the target's first, -1 for none.
    """

    signal: Tensor
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


class ViewSource:
    """Makes the batch of any (epoch, step): random crops of its utterances.

    Everything is a pure function of (seed, epoch, step). So workers, restarts and other loaders
    give the same batches. ``sv.crops.readers`` reads them in processes of their own.
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
        mel_bins: int | None = None,
        mixing: MixingConfig | None = None,
        own: slice | None = None,
        codes: bool = False,
        neighbours: Neighbours | None = None,
    ):
        """``own``: the items of each batch that this process reads; None: all.

        The draws for an item, and its interferers, are the same whichever process reads it. If an
        interferer is an item of another part, it is read here as well.
        ``codes``: crops stay the 16-bit values of the arks where they can (``sv.crops.codes``):
        features of the format CM2, and noises of one sound each.
        ``neighbours``: see ``Materials``.
        """
        self.index, self.groups, self.batches = index, list(groups), batches
        self.noises, self.rooms = noises, rooms
        self.own = own or slice(None)
        self.codes = codes and index.codes
        sums = "babble" in noise_kinds(augment, noises) and augment.babble_speakers[1] > 1
        self.noise_codes = self.codes and not sums and (noises is None or noises.index.codes)
        self.empty: Callable[..., np.ndarray] = np.empty
        """Makes the large arrays of a batch; a reader gives memory that it shares."""
        self.materials = Materials(
            index,
            self.groups,
            augment,
            seed,
            noises,
            rooms,
            mel_bins or index.mel_bins,
            mixing or MixingConfig(),
            neighbours,
        )

    def __getitem__(self, epoch_and_step: tuple[int, int]) -> Batch:
        return self.read(self.plan(*epoch_and_step).part(self.own))

    def plan(self, epoch: int, step: int) -> BatchPlan:
        """Return the draws for the whole batch."""
        return draw_batch(self.materials, self.batches(epoch, step), epoch, step)

    def read(self, plan: BatchPlan) -> Batch:
        """Read the batch of a plan, or of a part of a plan."""
        crops = {name: self._read_group(group) for name, group in plan.groups.items()}
        return Batch(crops, torch.from_numpy(plan.utterances.astype(np.int64)))

    def noise_kinds(self) -> dict[str, list[float]]:
        """Return kind → range of SNR in dB, for the kinds that can be drawn."""
        return noise_kinds(self.materials.augment, self.noises)

    def _read_group(self, plan: GroupPlan) -> Crops:
        group = plan.group
        draws = {
            "room": plan.room,
            "speed": plan.speed,
            "partner": plan.partner,
            "level": plan.level,
        }
        signal, draws["signal_scales"] = self._read_signal(plan)
        if plan.noise is not None:
            draws["snr"] = plan.noise.snr
            draws["noise"], draws["noise_scales"] = self._read_noise(plan)
        if plan.time_masks is not None:
            frames = hidden(plan.time_masks, group.frames)
            bands = hidden(plan.band_masks, self.materials.mel_bins)
            draws["masks"] = frames[..., :, None] | bands[..., None, :]
        return Crops(
            torch.from_numpy(signal),
            group.frames,
            Draws(**{k: torch.from_numpy(v) for k, v in draws.items() if v is not None}),
            group.sources,
            None if plan.items is None else torch.from_numpy(plan.items),
        )

    def _read_signal(self, plan: GroupPlan) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the crops (count, heard, rows, *row_shape), and their scales if they are codes."""
        shape, utterances, starts = plan.starts.shape, plan.utterances, plan.starts
        crops = (starts.size, plan.rows, *self.index.row_shape)
        signal = self.empty(crops, dtype=np.uint16 if self.codes else self.index.dtype)
        scales = np.empty((starts.size, 2), np.float32) if self.codes else None
        read = read_apart if plan.group.apart else read_windows
        read(self.index, utterances.reshape(-1), starts.reshape(-1), signal, scales)
        return _reshaped(signal, shape), _reshaped(scales, shape)

    def _read_noise(self, plan: GroupPlan) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the noises (count, batch, rows, *row_shape), and scales if they are codes."""
        shape, length = plan.noise.kind.shape, self.index.rows(plan.group.frames)
        words = (plan.noise.reshape((-1,)), length, self.index, self.noises, self.empty)
        if not self.noise_codes:
            return _reshaped(read_noises(*words), shape), None
        noise, scales = read_noise_codes(*words)
        return _reshaped(noise, shape), _reshaped(scales, shape)


def _reshaped(values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    return None if values is None else values.reshape(*shape, *values.shape[1:])
