"""Augmentation of waveforms, on whole batches and on any device, followed by their filterbanks.

Settings and draws are those of the feature domain (``sv.features.augment``), but they act on
samples: first speed, room (by convolution) and noise (at an SNR), then ``fbank``, then masks. A
log-mel spectrum does not contain phases, the cross term of speech and noise, or reflections within
a frame; here these are exact. This domain needs more arithmetic and twice the bytes;
``benchmarks/RESULTS.md`` gives both.
"""

import math
from fractions import Fraction

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from sv.features.augment import Draws, Order, mask, used_rooms
from sv.features.filterbank import fbank
from sv.features.framing import num_samples
from sv.features.presets import Preset
from sv.features.resample import resample
from sv.kaldi.waves import FULL_SCALE

SILENCE = torch.finfo(torch.float32).tiny


class WaveRooms:
    """Room responses, ready for convolution with waveforms.

    Parameters
    ----------
    responses: (rooms, taps) int16 or floating point; each begins with its direct sound. Each is
        scaled to energy 1, which keeps the power of noise-like sound.
    sample_rate: Hz.
    """

    def __init__(self, responses: Tensor, sample_rate: int = 16000):
        self.responses = responses
        self.sample_rate = sample_rate

    def __len__(self) -> int:
        return len(self.responses)

    def to(self, device: torch.device | str) -> "WaveRooms":
        """Return the bank on ``device``."""
        return WaveRooms(self.responses.to(device), self.sample_rate)

    def convolve(self, waves: Tensor, room: Tensor) -> Tensor:
        """Convolve waveforms (..., samples) with the responses of ``room`` (...).

        Crops whose ``room`` is -1 do not change. The tail beyond the crop is cut off. The method is
        overlap-save: the FFT is two to four times as long as a response, or shorter if the crop is
        short, and one call transforms all blocks of all crops. At most as many rooms as crops are
        transformed.

        Measured: overlap-save with FFTs of 16,384 took 0.9 of the time of one FFT over the crop.
        Splitting each response in two took 0.8, but it needs a loop over crops, which is slow on a
        GPU.
        """
        samples, taps = waves.shape[-1], self.responses.shape[-1]
        size = 1 << (2 * taps - 1).bit_length()
        size = min(size, next_fast_len(samples + taps - 1, real=True))
        block = size - taps + 1
        blocks = math.ceil(samples / block)
        responses, which = used_rooms(self.responses, room)
        responses = responses.to(waves.dtype)
        responses = responses / responses.norm(dim=-1, keepdim=True).clamp_min(SILENCE)
        padded = torch.nn.functional.pad(waves, (taps - 1, blocks * block - samples))
        spectrum = torch.fft.rfft(padded.unfold(-1, size, block))  # (..., blocks, bins)
        spectrum.mul_(torch.fft.rfft(responses, n=size)[which].unsqueeze(-2))
        wet = torch.fft.irfft(spectrum, n=size)[..., taps - 1 :].flatten(-2)[..., :samples]
        return torch.where((room >= 0)[..., None], wet, waves)


def mix_at_snr(waves: Tensor, noise: Tensor, snr: Tensor) -> Tensor:
    """Add ``noise`` to ``waves``, both (..., samples), at ``snr`` (...) dB; +inf adds nothing.

    The SNR is the ratio of powers over the crop, exactly. A constant offset does not count as
    power, because no filter of the filterbank passes it.

    Kaldi and the papers measure the SNR in the same way. It differs from the SNR in mel power
    (``sv.features.augment.mix``), because it weighs low frequencies as they are. The same range of
    SNR is about as loud for noise like speech, but not for rumble or hiss.
    """
    gain = (signal_power(waves) / signal_power(noise).clamp_min(SILENCE)).sqrt() * 10.0 ** (
        -snr / 20.0
    )
    return torch.addcmul(waves, noise, gain[..., None])


def signal_power(waves: Tensor) -> Tensor:
    """Return the mean square about the mean of (..., samples); thirty times as fast as ``var``."""
    square = torch.linalg.vector_norm(waves, dim=-1).square() / waves.shape[-1]
    return (square - waves.mean(dim=-1).square()).clamp_min(0.0)


def source_samples(samples: int, speed: float) -> int:
    """Return how many source samples, played at ``speed``, fill ``samples`` samples."""
    return math.ceil(samples * Fraction(speed).limit_denominator(100))


def change_speed(waves: Tensor, speed: Tensor, samples: int) -> Tensor:
    """Return the first ``samples`` samples of waveforms (..., longer) played at ``speed`` (...).

    Pitch and formants change with the tempo, as with a tape (Ko et al. 2015). ``waves`` must hold
    ``source_samples(samples, speed)`` samples or more. Speeds are rounded to fractions with a
    denominator up to 100, so a few filters are enough.
    """
    out = torch.empty(*waves.shape[:-1], samples, dtype=waves.dtype, device=waves.device)
    for value in speed.unique().tolist():
        # ``speed`` stays on the processor, so a GPU knows the shapes without waiting.
        rows = tuple(place.to(waves.device) for place in (speed == value).nonzero(as_tuple=True))
        ratio = Fraction(value).limit_denominator(100)
        chosen = waves[rows][..., : source_samples(samples, value)]
        if ratio != 1:
            chosen = resample(chosen, ratio.numerator, ratio.denominator)
        out[rows] = chosen[..., :samples]
    return out


def at_speed(
    waves: Tensor, draws: Draws, frames: int, sample_rate: int, preset: Preset = "kaldi"
) -> Tensor:
    """Return waveforms (..., samples) in [-1, 1] at their speed.

    If speeds were drawn, the samples are exactly those that ``frames`` frames take.
    """
    waves = waves.float() if waves.is_floating_point() else waves.float() / FULL_SCALE
    if draws.speed is None:
        return waves
    return change_speed(waves, draws.speed, num_samples(frames, sample_rate, preset))


def alter(
    waves: Tensor,
    draws: Draws,
    rooms: WaveRooms | None = None,
    *,
    frames: int,
    sample_rate: int = 16000,
    order: Order = "room_noise",
    preset: Preset = "kaldi",
) -> Tensor:
    """Apply speed, then room and noise in their ``order``; return (..., samples) float32.

    waves: (..., samples) int16, or floating point in [-1, 1]; as many samples as ``frames`` frames
    take, or more if ``draws.speed`` is given. ``sample_rate`` in Hz.
    """
    waves = at_speed(waves, draws, frames, sample_rate, preset)
    for step in order.split("_"):
        if step == "room" and draws.room is not None:
            waves = rooms.convolve(waves, draws.room)
        elif step == "noise" and draws.noise is not None:
            waves = mix_at_snr(waves, draws.noise.float(), draws.snr)
    return waves


def augment_waves(
    waves: Tensor,
    draws: Draws,
    rooms: WaveRooms | None = None,
    *,
    frames: int,
    mel_bins: int,
    sample_rate: int = 16000,
    order: Order = "room_noise",
    preset: Preset = "kaldi",
) -> Tensor:
    """Apply speed, room and noise in their ``order``, and masks; return (..., frames, mel).

    If ``mel_bins`` is 0, the waveforms (..., samples) are returned. waves: as in
    `alter`. The arithmetic is float32, also under autocast.
    """
    with torch.autocast(waves.device.type, enabled=False):
        how = {"frames": frames, "sample_rate": sample_rate, "order": order, "preset": preset}
        waves = alter(waves, draws, rooms, **how)
        if mel_bins == 0:
            return waves
        shape = waves.shape[:-1]
        log_mel = fbank(waves.reshape(-1, waves.shape[-1]), sample_rate, mel_bins, preset)
    return mask(log_mel.unflatten(0, shape), draws.masks)
