"""Augmentation of log-mel crops, on whole batches and on any device.

The settings and draws of this module also serve ``sv.features.augment_wave``, which augments
waveforms. The augmentation of each crop is drawn in ``sv.crops.plan``, on the CPU, as a pure
function of seed, epoch and step. It arrives here as arrays, so these functions are deterministic
and the same on a CPU and on a GPU. The default settings are those of Lepage & Dehak 2024 (a room
response and one noise file on every crop), with ranges of SNR as in Kaldi's VoxCeleb recipe.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from sv.config import option
from sv.features.presets import Preset, definition

Order = Literal["room_noise", "noise_room"]

FLOOR = torch.finfo(torch.float32).eps
"""Smallest mel power: the floor of the filterbank itself."""


@dataclass
class AugmentConfig:
    """Settings of augmentation; each crop draws noise and room independently."""

    noise_probability: float = option(
        1.0, "share of crops that get additive noise, music or babble; 0 needs no noise bank"
    )
    room_probability: float = option(1.0, "share of crops that get a room response")
    order: Order = option(
        "room_noise",
        "room_noise: noise is added after the room response, so only the voice "
        "sounds in the room; noise_room: noise is added before it, so both sound in "
        "the room, as in the recipes of 2023 and 2024",
    )
    noise_snr: list[float] = option([0.0, 15.0], "range of the SNR of noises, dB")
    music_snr: list[float] = option([5.0, 15.0], "range of the SNR of music, dB")
    babble_snr: list[float] = option([13.0, 20.0], "range of the SNR of babble, dB")
    babble_speakers: list[int] = option(
        [3, 7],
        "range of the number of talkers that are summed to babble, 3 to 7 as in "
        "Kaldi. [1, 1]: one file of speech, as published for SimCLR, MoCo and SSPS; "
        "[0, 0]: no babble",
    )
    speeds: list[float] = option(
        [1.0],
        "speeds to draw from, [0.9, 1.0, 1.1] as in Kaldi; needs data.domain wave. "
        "All crops of an utterance in a batch have the same speed, because another "
        "speed changes the pitch, and so the voice",
    )
    time_masks: int = option(
        0, "SpecAugment: number of stretches of time that are set to the crop's mean"
    )
    time_mask_frames: int = option(10, "SpecAugment: longest stretch, frames of 10 ms")
    band_masks: int = option(
        0, "SpecAugment: number of groups of mel bands that are set to the crop's mean"
    )
    band_mask_width: int = option(8, "SpecAugment: widest group, mel bands")

    def __post_init__(self):
        for name in ("noise_probability", "room_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        for name in ("time_masks", "time_mask_frames", "band_masks", "band_mask_width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("noise_snr", "music_snr", "babble_snr", "babble_speakers"):
            values = getattr(self, name)
            if len(values) != 2 or values[0] > values[1]:
                raise ValueError(f"{name} must be [lowest, highest], not {values}")
        if not self.speeds or not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise ValueError(f"speeds must lie between 0.5 and 2, not {self.speeds}")


@dataclass
class Draws:
    """What was drawn for a batch of crops; None for an augmentation that no crop gets.

    Shapes, with (...) the shape of the batch, for example (views, batch):
    noise (..., frames, mel) log-mel of the noise, or its samples (..., samples) at any level;
    snr (...) dB, +inf for no noise; room (...) index into the room bank, -1 for no room;
    masks (..., frames, mel) true where hidden; speed (...) of waveforms.
    For mixtures (``sv.features.mixing``): partner (..., most) place of each interferer among the
    crops that are read, -1 for none; level (..., most) dB of the target relative to it. With
    mixtures, room and speed have values for all crops that are read; noise, snr and masks have
    values for the mixtures.
    signal_scales, noise_scales (..., 2): if crops or noises are 16-bit codes, factor and offset of
    each (``sv.crops.codes``); the front end decodes them before it augments.
    """

    noise: Tensor | None = None
    snr: Tensor | None = None
    room: Tensor | None = None
    masks: Tensor | None = None
    speed: Tensor | None = None
    partner: Tensor | None = None
    level: Tensor | None = None
    signal_scales: Tensor | None = None
    noise_scales: Tensor | None = None

    def to(self, device: torch.device | str) -> "Draws":
        """Move every array to ``device``, but not ``speed``: shapes depend on it."""
        given = {k: v for k, v in vars(self).items() if v is not None}
        moved = {k: v.to(device, non_blocking=True) for k, v in given.items() if k != "speed"}
        return Draws(**moved, speed=self.speed)


def used_rooms(bank: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """Return some rows of ``bank`` (rooms, ...) and which of them each ``room`` (...) is.

    -1 is the first row. Rooms that no crop uses are only there if the bank is smaller than the
    batch. How many rows there are does not depend on values, so a GPU does not wait.
    """
    room = room.clamp_min(0)
    if len(bank) <= room.numel():
        return bank, room
    return bank[room.flatten()], torch.arange(room.numel(), device=room.device).view(room.shape)


class RoomBank:
    """Energy decays of rooms, ready for convolution along time.

    Parameters
    ----------
    decays: (rooms, taps, mel) energy of each room's response for each frame (10 ms) and mel band,
        as ``sv.crops.banks.energy_decay`` computes it.
    preset: the filterbank that defines the bands.
    """

    def __init__(self, decays: Tensor, preset: str = "kaldi"):
        self.decays, self.preset = decays, preset

    def __len__(self) -> int:
        return len(self.decays)

    def to(self, device: torch.device | str) -> "RoomBank":
        """Return the bank on ``device``."""
        return RoomBank(self.decays.to(device), self.preset)

    def convolve(self, power: Tensor, room: Tensor) -> Tensor:
        """Convolve mel power (..., frames, mel) along time with the decays of ``room`` (...).

        Crops whose ``room`` is -1 do not change. At most as many rooms as crops are transformed, so
        the bank needs no memory beyond its decays, whatever its size.
        """
        frames = power.shape[-2]
        size = next_fast_len(frames + self.decays.shape[1] - 1, real=True)
        decays, which = used_rooms(self.decays, room)
        spectrum = torch.fft.rfft(power, n=size, dim=-2)
        spectrum.mul_(torch.fft.rfft(decays, n=size, dim=-2)[which])
        wet = torch.fft.irfft(spectrum, n=size, dim=-2)[..., :frames, :]
        # The rounding error of the transform is relative to the loudest frame. The power of the
        # direct sound alone is a lower bound, exact for a quiet frame that follows no loud one.
        wet = torch.maximum(wet, power * decays[which, :1])
        return torch.where((room >= 0)[..., None, None], wet, power)


def mix(power: Tensor, noise: Tensor, snr: Tensor) -> Tensor:
    """Add ``noise`` to ``power``, both mel power (..., frames, mel), at ``snr`` (...) dB.

    The SNR is exact over the crop: the total mel power of ``power`` against that of the noise.
    Powers add because speech and noise are independent: their cross term is zero on average. The
    SNR is measured in mel power, after pre-emphasis, because this is what the network receives.
    """
    ratio = power.sum(dim=(-2, -1)) / noise.sum(dim=(-2, -1)).clamp_min(FLOOR)
    gain = ratio * 10.0 ** (-snr / 10.0)
    return torch.addcmul(power, noise, gain[..., None, None])


def augment(
    log_mel: Tensor,
    draws: Draws,
    rooms: RoomBank | None = None,
    order: Order = "room_noise",
    preset: Preset = "kaldi",
) -> Tensor:
    """Apply room and noise in this ``order``, then masks, to log-mel crops (..., frames, mel).

    preset: the filterbank of crops and noises; it defines how energies follow from log energies.
    """
    if draws.room is not None or draws.noise is not None:
        form = definition(preset)
        power = form.energies(log_mel)
        for step in order.split("_"):
            if step == "room" and draws.room is not None:
                power = rooms.convolve(power, draws.room)
            elif step == "noise" and draws.noise is not None:
                power = mix(power, form.energies(draws.noise), draws.snr)
        log_mel = form.log_(power)
    return mask(log_mel, draws.masks)


def mask(log_mel: Tensor, masks: Tensor | None) -> Tensor:
    """Set the masked values of log-mel crops (..., frames, mel) to the mean of their band."""
    if masks is None:
        return log_mel
    return torch.where(masks, log_mel.mean(dim=-2, keepdim=True), log_mel)
