"""The filterbank of ``filterbank.py`` as a network layer, for exported models."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.features.filterbank import mel_banks
from sv.features.framing import frame_sizes, mirrored
from sv.features.presets import definition


class FbankLayer(nn.Module):
    """Log mel energies of waveforms by one convolution, squares and one product.

    All that ``fbank`` does to a frame before the power spectrum is linear (mean removal,
    pre-emphasis, window, Fourier transform), so it is one matrix, computed in float64. A
    convolution by it has no frame loop and no complex numbers, which every inference engine
    knows, and takes any length. It costs 400 x 514 products a frame instead of an FFT, a
    thousandth of an encoder's work. Differences from ``fbank`` are those of float32 rounding.
    """

    def __init__(self, sample_rate: int, mel_bins: int, preset: str = "kaldi"):
        super().__init__()
        self.form = definition(preset)
        self.sample_rate, self.shift = sample_rate, frame_sizes(sample_rate)[1]
        self.bins = frame_sizes(sample_rate)[2] // 2 + 1
        matrix = spectrum_matrix(sample_rate, preset)
        self.register_buffer("frames_to_spectrum", matrix[:, None].float())
        banks = mel_banks(mel_bins, sample_rate, preset)
        self.register_buffer("banks", torch.tensor(banks.T).float())

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (batch, samples), at least one frame of 25 ms, to (batch, frames, mel)."""
        if self.form.centred:
            waveform = mirrored(waveform, self.sample_rate)
        spectrum = F.conv1d(waveform[:, None], self.frames_to_spectrum, stride=self.shift)
        squares = spectrum.square()
        power = squares[:, : self.bins] + squares[:, self.bins :]
        return self.form.log(torch.matmul(power.transpose(1, 2), self.banks))


def spectrum_matrix(sample_rate: int, preset: str = "kaldi") -> Tensor:
    """Return (2 bins, window) float64: frame -> real parts, then imaginary parts of its spectrum.

    D W P M: mean removal M = I - 1/n, pre-emphasis P (the first sample is its own predecessor),
    window W, Fourier transform D of the frame with zeros up to a power of two.
    """
    window, _, fft = frame_sizes(sample_rate)
    form = definition(preset)
    frames = torch.eye(window, dtype=torch.float64)
    if form.remove_mean:
        frames = frames - 1.0 / window
    before = torch.cat((frames[:1], frames[:-1]))
    frames = form.window(window)[:, None] * (frames - form.pre_emphasis * before)
    angle = torch.outer(
        torch.arange(fft // 2 + 1, dtype=torch.float64), torch.arange(window, dtype=torch.float64)
    ) * (-2.0 * math.pi / fft)
    return torch.cat((angle.cos(), angle.sin())) @ frames
