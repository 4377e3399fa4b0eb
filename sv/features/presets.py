"""Definitions of log mel filterbanks: Kaldi's, the default, and those of published rows.

``sslsv`` is what Lepage & Dehak's toolkit takes: torchaudio's MelSpectrogram, then a logarithm.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sv.errors import InputError

Preset = Literal["kaldi", "sslsv", "sslsv_hann"]


def povey_window(length: int) -> Tensor:
    """Return Povey's window (length,), float64: a Hann window to the power 0.85.

    Its first weight is 0.
    """
    phase = torch.arange(length, dtype=torch.float64) * (2 * math.pi / (length - 1))
    return (0.5 - 0.5 * torch.cos(phase)).clamp_min(0.0).pow(0.85)


def hamming_window(length: int) -> Tensor:
    """Return a periodic Hamming window (length,), float64."""
    return torch.hamming_window(length, dtype=torch.float64)


def hann_window(length: int) -> Tensor:
    """Return a periodic Hann window (length,), float64."""
    return torch.hann_window(length, dtype=torch.float64)


@dataclass(frozen=True)
class Definition:
    """What a filterbank does to a frame.

    remove_mean: of each frame, before anything else.
    pre_emphasis: x[n] − p x[n−1], within the frame; 0: none.
    window: of so many samples.
    low_hz: where the first filter begins; the last ends at half the sample rate.
    straight_in_hz: the sides of the triangles are straight lines in Hz, as in torchaudio, else in
        mel, as in Kaldi. Their corners are equally spaced in mel in both.
    floor: smallest energy; with ``add`` it is added to every energy instead.
    centred: frames have their middle, not their beginning, at multiples of 10 ms
        (``sv.features.framing``).
    """

    remove_mean: bool
    pre_emphasis: float
    window: Callable[[int], Tensor]
    low_hz: float
    straight_in_hz: bool
    floor: float
    add: bool
    centred: bool

    def log(self, energies: Tensor) -> Tensor:
        """Return the logarithm of energies."""
        return (energies + self.floor if self.add else energies.clamp_min(self.floor)).log()

    def log_(self, energies: Tensor) -> Tensor:
        """Do what ``log`` does, in place."""
        added = energies.add_(self.floor) if self.add else energies.clamp_min_(self.floor)
        return added.log_()

    def energies(self, log_mel: Tensor) -> Tensor:
        """Undo ``log``: return energies, which add when sounds do."""
        powers = log_mel.exp()
        return powers.sub_(self.floor).clamp_min_(0.0) if self.add else powers

    @property
    def silence(self) -> float:
        """The log energy of a band without any sound."""
        return math.log(self.floor)


EPSILON = torch.finfo(torch.float32).eps
PRESETS: dict[str, Definition] = {
    "kaldi": Definition(True, 0.97, povey_window, 20.0, False, EPSILON, False, False),
    "sslsv": Definition(False, 0.0, hamming_window, 0.0, True, 1e-6, True, True),
    "sslsv_hann": Definition(False, 0.0, hann_window, 0.0, True, 1e-6, True, True),
}
"""Kaldi's; that of Lepage & Dehak from 2024 on; and that of January 2024, with another window."""


def definition(preset: str) -> Definition:
    """Return the definition of this name, or raise ``InputError``."""
    if preset not in PRESETS:
        raise InputError(f"features.preset {preset!r} is none of {', '.join(PRESETS)}")
    return PRESETS[preset]
