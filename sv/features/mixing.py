"""Online mixtures of speakers: the items of a batch interfere with each other.

The interferers and their levels are drawn with the crops (``sv.crops.plan``, a pure function of
seed, epoch and step). Here the sounds are added, on whole batches and on any device. Waveforms add
as they do in air. Mel powers add up to the cross term of the two, which is zero on average; this
is the fast way, because it needs no filterbank in training.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sv.config import option
from sv.features.augment import Draws, RoomBank, mask, mix
from sv.features.augment_wave import SILENCE, WaveRooms, at_speed, mix_at_snr, signal_power
from sv.features.filterbank import fbank
from sv.features.presets import Preset, definition


@dataclass
class MixingConfig:
    """Other speakers, utterances of the same batch, over the speaker of a crop."""

    probability: float = option(
        0.0,
        "share of crops with interfering speakers. 0: none; 1: the network never "
        "hears a speaker alone, and becomes worse at it",
    )
    snr: list[float] = option(
        [-5.0, 5.0],
        "range of the level of the target relative to each interferer, dB; below 0 "
        "the interferer is louder",
    )
    interferers: list[int] = option(
        [1, 1],
        "smallest and largest number of interfering speakers in a mixture; 1 or 2 "
        "as in METHODS of v4",
    )

    def __post_init__(self):
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be between 0 and 1, not {self.probability}")
        if len(self.snr) != 2 or self.snr[0] > self.snr[1]:
            raise ValueError(f"snr must be [lowest, highest], not {self.snr}")
        low, high = (*self.interferers, 0, 0)[:2]
        if len(self.interferers) != 2 or not 1 <= low <= high:
            raise ValueError(
                f"interferers must be [fewest, most], both at least 1, not {self.interferers}"
            )


def draw_interferers(
    utterances: np.ndarray, config: MixingConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw who is mixed into each crop, and at which level.

    Interferers come from the whole batch, as crops that are read anyway. So an item is mixed with
    the same crops in one process and in many; a process also reads the crops of other shares that
    it needs. Resuming stays exact, because interferers are drawn with the crops.

    utterances: (count, batch) of the crops. Returns positions in the batch (count, batch, most),
    -1 for nobody, and levels of the target against each of them in dB. A crop's interferers are
    crops of the same row and never of its own utterance; two of them are different items.
    """
    count, batch = utterances.shape
    most = min(config.interferers[1], batch - 1)
    lottery = rng.random((count, batch, batch))
    lottery[utterances[:, :, None] == utterances[:, None, :]] = np.inf
    chosen = np.argsort(lottery, axis=2)[:, :, :most]
    possible = np.isfinite(np.take_along_axis(lottery, chosen, axis=2))
    number = rng.integers(config.interferers[0], config.interferers[1] + 1, (count, batch))
    number[rng.random((count, batch)) >= config.probability] = 0
    partner = np.where(possible & (np.arange(most) < number[:, :, None]), chosen, -1)
    level = rng.uniform(*config.snr, partner.shape).astype(np.float32)
    return partner, level


def of_share(partner: np.ndarray, own: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return which crops a share of a batch needs, and who is mixed into the share's own.

    partner: (count, batch, most) as ``draw_interferers`` gives it. own: the items of the share.
    Returns columns (count, heard) of the batch: the share's own, then items of other shares that
    are mixed into these, and the partners (count, own, most) as places among those columns. A row
    with fewer guests than another one is filled up with its first column. A share that is the
    whole batch has no guests.
    """
    mine, partner = np.arange(partner.shape[1])[own], partner[:, own]
    guests = [np.setdiff1d(row, [-1, *mine]) for row in partner]
    columns = np.full((len(partner), len(mine) + max(map(len, guests))), mine[0])
    places = np.empty_like(partner)
    for row, others in enumerate(guests):
        needed = np.concatenate([mine, others])
        columns[row, : len(needed)] = needed
        place = np.full(needed.max() + 2, -1)  # the last one is of nobody, -1
        place[needed] = np.arange(len(needed))
        places[row] = place[partner[row]]
    return columns, places


def sources_of(signals: Tensor, power: Tensor, partner: Tensor, level: Tensor) -> Tensor:
    """Return every source of each mixture at its level: (count, batch, 1 + most, ...).

    signals: (count, heard, ...), mel power, or waveforms if ``power`` is of waveforms; first the
        targets, then what else is mixed into them (``of_share``).
    power: (count, heard), in the units of ``signals`` or of their squares.
    partner, level: (count, batch, most): places among ``signals``, -1 for nobody, and dB. Source 0
        is the target; a source that is not there is zero.
    """
    rows = torch.arange(len(signals), device=signals.device)[:, None, None]
    others, there, batch = partner.clamp_min(0), partner >= 0, partner.shape[1]
    gain = power[:, :batch, None] / power[rows, others].clamp_min(SILENCE) * 10.0 ** (-level / 10.0)
    if signals.dim() == 3:  # waveforms: amplitudes
        gain = gain.sqrt()
    gain = torch.where(there, gain, 0.0)
    gain = gain.view(*gain.shape, *[1] * (signals.dim() - 2))
    return torch.cat([signals[:, :batch, None], signals[rows, others] * gain], dim=2)


def mix_log_mel(
    log_mel: Tensor, draws: Draws, rooms: RoomBank | None = None, preset: Preset = "kaldi"
) -> tuple[Tensor, Tensor]:
    """Room for each speaker, then the mixture in mel power, then noise and masks on it.

    log_mel: (count, heard, frames, mel), as for ``sources_of``. Returns the log-mel of the
    mixtures, (count, batch, frames, mel), and of their sources, (count, batch, 1 + most, frames,
    mel), in their rooms and without noise.
    """
    form = definition(preset)
    power = form.energies(log_mel)
    if draws.room is not None:
        power = rooms.convolve(power, draws.room)
    sources = sources_of(power, power.sum(dim=(-2, -1)), draws.partner, draws.level)
    mixture = sources.sum(dim=2)
    if draws.noise is not None:
        mixture = mix(mixture, form.energies(draws.noise), draws.snr)
    return mask(form.log_(mixture), draws.masks), form.log_(sources)


def add_speakers(
    waves: Tensor,
    draws: Draws,
    rooms: WaveRooms | None = None,
    *,
    frames: int,
    sample_rate: int = 16000,
    preset: Preset = "kaldi",
) -> tuple[Tensor, Tensor]:
    """Return the mixtures (count, batch, samples), and each speaker alone in a room.

    waves: as in `mix_waves`. The speakers alone are (count, heard, samples), without gains.
    """
    waves = at_speed(waves, draws, frames, sample_rate, preset)
    if draws.room is not None:
        waves = rooms.convolve(waves, draws.room)
    mixture = sources_of(waves, signal_power(waves), draws.partner, draws.level).sum(dim=2)
    if draws.noise is not None:
        mixture = mix_at_snr(mixture, draws.noise.float(), draws.snr)
    return mixture, waves


def mix_waves(
    waves: Tensor,
    draws: Draws,
    rooms: WaveRooms | None = None,
    *,
    frames: int,
    mel_bins: int,
    sample_rate: int = 16000,
    preset: Preset = "kaldi",
) -> tuple[Tensor, Tensor]:
    """As ``mix_log_mel``, with the sums in waveforms (count, heard, samples), int16 or in [-1, 1].

    A source's filterbank is that of the crop alone plus its gain: the window and the power
    spectrum are linear in it, so no source is transformed twice.
    """
    with torch.autocast(waves.device.type, enabled=False):
        how = {"frames": frames, "sample_rate": sample_rate, "preset": preset}
        mixture, waves = add_speakers(waves, draws, rooms, **how)
        mixture, alone = (
            fbank(x.flatten(0, 1), sample_rate, mel_bins, preset).unflatten(0, x.shape[:2])
            for x in (mixture, waves)
        )
        form = definition(preset)
        of_sources = sources_of(
            form.energies(alone), signal_power(waves), draws.partner, draws.level
        )
    return mask(mixture, draws.masks), form.log_(of_sources)
