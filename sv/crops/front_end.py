"""From the crops of a batch to the input of the network, on the device of the network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sv.crops.index import TrainingIndex
from sv.crops.views import Crops
from sv.crops.wave_index import WaveformIndex
from sv.features.augment import Order, RoomBank, augment
from sv.features.augment_wave import WaveRooms, alter, augment_waves
from sv.features.framing import frames_lasting
from sv.features.mixing import add_speakers, mix_log_mel, mix_waves
from sv.features.normalise import Normalisation, normalise
from sv.features.presets import Preset


@dataclass
class FrontEnd:
    """Augmentation, filterbanks where crops are waveforms, and normalisation.

    Parameters
    ----------
    normalise: of each crop.
    mel_bins: of the network's input.
    sample_rate: of waveforms, Hz; None where crops are features.
    rooms: the bank of responses, in the domain of the crops.
    order: of room and noise.
    preset: the filterbank that crops are made with, or that waveforms get here.
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
        """Return the front end for crops out of ``index``."""
        rate = index.sample_rate if isinstance(index, WaveformIndex) else None
        return cls(normalise, mel_bins, rate, rooms, order, preset)

    def frames(self, seconds: float) -> int:
        """Return the frames of a crop that lasts ``seconds``."""
        return frames_lasting(seconds, self.preset)

    def __call__(self, crops: Crops, device: torch.device) -> Tensor:
        """Return (count, batch, frames, mel), augmented and normalised, on ``device``."""
        if crops.draws.partner is not None:
            return self.mixtures(crops, device)[0]
        inputs = crops.signal.to(device, non_blocking=True)
        draws = crops.draws.to(device)
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
        return normalise(log_mel, self.normalise)

    def sounds(self, crops: Crops) -> Tensor:
        """Return waveforms (count, batch, samples) after speed, speakers, rooms and noise.

        They are what a listener hears of ``__call__``, which adds the filterbank and masks.
        """
        how = {"frames": crops.frames, "sample_rate": self.sample_rate, "preset": self.preset}
        if crops.draws.partner is not None:
            return add_speakers(crops.signal, crops.draws, self.rooms, **how)[0]
        return alter(crops.signal, crops.draws, self.rooms, order=self.order, **how)

    def mixtures(self, crops: Crops, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mixtures as ``__call__`` does, and their sources (count, batch, n, frames, mel).

        The sources are log-mel less the mean of their mixture in each band: where the mixture has
        been normalised by its mean, powers still add.
        """
        inputs = crops.signal.to(device, non_blocking=True)
        draws = crops.draws.to(device)
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
