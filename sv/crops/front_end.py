"""From the crops of a batch to the input of the network, on the device of the network."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sv.crops.codes import decoded
from sv.crops.index import TrainingIndex
from sv.crops.views import Crops
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import Draws, Order, RoomBank, augment
from sv.features.augment_wave import WaveRooms, alter, augment_waves
from sv.features.framing import frames_lasting
from sv.features.mixing import add_speakers, mix_log_mel, mix_waves
from sv.features.normalise import Normalisation, normalise
from sv.features.presets import Preset


def on_device(crops: Crops, device: torch.device) -> tuple[Tensor, Draws]:
    """Return the crops, decoded if they are 16-bit codes, and their draws, on ``device``."""
    draws = crops.draws.to(device)
    signal = decoded(crops.signal.to(device, non_blocking=True), draws.signal_scales)
    if draws.noise_scales is not None:
        draws = replace(draws, noise=decoded(draws.noise, draws.noise_scales), noise_scales=None)
    return signal, draws


@dataclass
class FrontEnd:
    """Augmentation, filterbanks if crops are waveforms, and normalisation.

    Parameters
    ----------
    normalise: kind of normalisation of each crop.
    mel_bins: number of mel bands of the network's input; 0 if it takes waveforms.
    sample_rate: of waveforms, in Hz; None if crops are features.
    rooms: the bank of room responses, in the domain of the crops.
    order: whether the room or the noise comes first.
    preset: the filterbank of the crops, which is computed here if they are waveforms.
    """

    normalise: Normalisation
    mel_bins: int
    sample_rate: int | None = None
    rooms: RoomBank | WaveRooms | None = None
    order: Order = "room_noise"
    preset: Preset = "kaldi"

    @classmethod
    def of(
        cls,
        normalise: Normalisation,
        mel_bins: int,
        index: TrainingIndex,
        rooms: RoomBank | WaveRooms | None,
        order: Order = "room_noise",
        preset: Preset = "kaldi",
    ) -> "FrontEnd":
        """Return the front end for crops from ``index``."""
        rate = index.sample_rate if isinstance(index, WaveformIndex) else None
        return cls(normalise, mel_bins, rate, rooms, order, preset)

    def frames(self, seconds: float) -> int:
        """Return the frames of a crop that lasts ``seconds``."""
        return frames_lasting(seconds, self.preset)

    def __call__(self, crops: Crops, device: torch.device) -> Tensor:
        """Return (count, batch, frames, mel), augmented and normalised, on ``device``.

        If the network takes waveforms, they are (count, batch, samples), and not normalised.
        """
        if crops.draws.partner is not None:
            return self.mixtures(crops, device)[0]
        inputs, draws = on_device(crops, device)
        if self.sample_rate is None:
            log_mel = augment(inputs, draws, self.rooms, self.order, self.preset)
        else:
            log_mel = augment_waves(
                inputs,
                draws,
                self.rooms,
                frames=crops.frames,
                mel_bins=self.mel_bins,
                sample_rate=self.sample_rate,
                order=self.order,
                preset=self.preset,
            )
        return log_mel if self.mel_bins == 0 else normalise(log_mel, self.normalise)

    def sounds(self, crops: Crops) -> Tensor:
        """Return waveforms (count, batch, samples) after speed, mixing, rooms and noise.

        These are the sounds of which ``__call__`` computes filterbanks, and then masks them.
        """
        how = {"frames": crops.frames, "sample_rate": self.sample_rate, "preset": self.preset}
        if crops.draws.partner is not None:
            return add_speakers(crops.signal, crops.draws, self.rooms, **how)[0]
        return alter(crops.signal, crops.draws, self.rooms, order=self.order, **how)

    def mixtures(self, crops: Crops, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mixtures as ``__call__`` does, and their sources (count, batch, n, frames, mel).

        From the log-mel of each source the mean of its mixture in each band is subtracted. So the
        powers of the sources still add to that of a mixture normalised by its mean.
        """
        inputs, draws = on_device(crops, device)
        if self.sample_rate is None:
            mixture, sources = mix_log_mel(inputs, draws, self.rooms, self.preset)
        else:
            mixture, sources = mix_waves(
                inputs,
                draws,
                self.rooms,
                frames=crops.frames,
                mel_bins=self.mel_bins,
                sample_rate=self.sample_rate,
                preset=self.preset,
            )
        if self.normalise != "none":
            sources = sources - mixture.mean(dim=-2, keepdim=True).unsqueeze(2)
        return normalise(mixture, self.normalise), sources
