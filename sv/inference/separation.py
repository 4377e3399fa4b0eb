"""Separating a recording with a separative encoder: masks, sounds, embeddings.

The masks are of mel power. To make sounds, the masks are mapped to the bins of a Fourier
transform, and the phase stays that of the mixture. These sounds are only good enough to hear who
speaks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sv.errors import InputError
from sv.features import fbank
from sv.features.filterbank import mel_banks
from sv.features.framing import frame_sizes
from sv.features.normalise import normalise
from sv.features.presets import definition
from sv.inference.speaker_model import MIN_SECONDS, SpeakerModel


@dataclass
class Voices:
    """What was separated.

    waveforms: (sources, samples), masked, with the phase of the mixture.
    embeddings: (sources, dim).
    shares: (sources,) of the energy, of bands that are normalised.
    log_mel: (1 + sources, frames, mel): the mixture, then each source.
    """

    waveforms: np.ndarray
    embeddings: np.ndarray
    shares: np.ndarray
    log_mel: np.ndarray


def linear_gains(masks: Tensor, sample_rate: int, preset: str = "kaldi") -> Tensor:
    """Carry masks of mel power (..., frames, mel) over to amplitudes (..., frames, bins).

    A bin's power gain is the mean of the bands that hear it, by their weights; bins that no band
    hears get that of the nearest one that does.
    """
    banks = torch.from_numpy(np.array(mel_banks(masks.shape[-1], sample_rate, preset))).to(masks)
    heard = banks.sum(dim=0) > 0
    bins = torch.arange(len(heard))
    place = torch.where(heard)[0]
    nearest = place[(bins[:, None] - place).abs().argmin(dim=1)]
    weights = banks[:, nearest] / banks[:, nearest].sum(dim=0)
    return (masks @ weights).clamp(0, 1).sqrt()


def apply_masks(waveform: Tensor, masks: Tensor, sample_rate: int, preset: str = "kaldi") -> Tensor:
    """Filter a waveform (samples,) by masks of mel power (n, frames, mel): (n, samples).

    Where the masks add up to one, so do the powers of what comes out, not the samples.
    """
    window, shift, size = frame_sizes(sample_rate)
    shape = torch.hann_window(window, dtype=waveform.dtype)
    options = {"hop_length": shift, "win_length": window, "window": shape}
    spectrum = torch.stft(waveform, size, **options, return_complex=True).T  # (steps, bins)
    # A frame of Kaldi's filterbank begins where a step of this transform has its middle.
    frame = torch.arange(len(spectrum))
    if not definition(preset).centred:
        frame = frame - round(window / 2 / shift)
    gains = linear_gains(masks[:, frame.clamp(0, masks.shape[1] - 1)], sample_rate, preset)
    filtered = (gains * spectrum).transpose(1, 2)
    return torch.istft(filtered, size, **options, length=len(waveform))


@torch.inference_mode()
def separate(model: SpeakerModel, samples: np.ndarray) -> Voices:
    """Separate a recording (samples,) at the sample rate of the model; loudest source first.

    Raises:
        InputError: the model does not separate, or the recording is too short.
    """
    encoder = model.embedder.encoder
    if encoder.sources < 2:
        raise InputError(
            f"the model's encoder is {model.embedder.settings['name']} of one source: train one "
            "that separates, such as conf/csc.yaml of recipe v4"
        )
    waveform = torch.from_numpy(samples)
    rate, preset = model.sample_rate, model.embedder.preset
    features = torch.from_numpy(fbank(samples, rate, model.embedder.mel_bins, preset))
    if len(samples) < MIN_SECONDS * model.sample_rate or len(features) < encoder.min_frames:
        raise InputError("the recording is too short to hear a voice; give a second or more")
    ready = normalise(features, model.embedder.normalise)
    found = encoder.separate(ready[None])
    order = found.shares[0].argsort(descending=True)
    log_masks = (found.log_mel[0] - ready)[order]
    waveforms = apply_masks(waveform, log_masks.exp(), rate, preset)
    return Voices(
        waveforms.numpy(),
        found.embeddings[0, order].numpy(),
        found.shares[0, order].numpy(),
        torch.cat([features[None], features + log_masks]).numpy(),
    )
