"""Frame decisions between speech and silence by energy, as Kaldi's ``compute-vad`` makes them.

Column 0 of Kaldi's MFCC features is the log energy of a frame, or the cepstral coefficient C0. A
frame counts as loud if this value is above a threshold that grows with the mean of the recording.
A frame is speech if enough of the frames around it are loud.

Source of the definition: Kaldi's ivector/voice-activity-detection.cc (since 2017; older versions
looked at the middle frame only) and feat/feature-window.cc.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from sv.errors import InputError
from sv.features.framing import frame_sizes, num_frames
from sv.numbers import Number, whole

FULL_SCALE = 32768.0
"""Kaldi's thresholds are for samples of 16-bit size; ours are in [-1, 1]."""
FLOOR = float(np.finfo(np.float32).eps)
BLOCK = 1 << 14
CONTEXT = whole(0, 10_000)
PROPORTION = Number(0, 1, above=True, below=True)


@dataclass(frozen=True)
class EnergyVad:
    """Options of ``compute-vad`` with Kaldi's names and defaults.

    threshold: constant part of the threshold (``--vad-energy-threshold``).
    mean_scale: factor of the recording's mean, which is added (``--vad-energy-mean-scale``).
    context: frames on each side that count for a decision (``--vad-frames-context``).
    proportion: share of these frames that must be loud (``--vad-proportion-threshold``).
    """

    threshold: float = 5.0
    mean_scale: float = 0.5
    context: int = 0
    proportion: float = 0.6

    def __post_init__(self):
        Number(0).check(self.mean_scale, "the mean scale of the energy VAD")
        CONTEXT.check(self.context, "the context of the energy VAD")
        PROPORTION.check(self.proportion, "the proportion of the energy VAD")


VOXCELEB = EnergyVad(threshold=5.5, mean_scale=0.5, context=2, proportion=0.12)
"""The settings of Kaldi's egs/voxceleb/v2/conf/vad.conf."""


def log_energy(waveform: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Return the log energy of each frame (frames,) float32, as in Kaldi's features.

    ``waveform``: (samples,) float in [-1, 1]. The energy is that of the frame without its mean,
    before pre-emphasis and window (``--raw-energy=true``), for samples of 16-bit size.
    """
    window, shift, _ = frame_sizes(sample_rate)
    frames = num_frames(len(waveform), sample_rate)
    found = np.empty(frames, dtype=np.float32)
    samples = np.asarray(waveform, dtype=np.float64) * FULL_SCALE
    for start in range(0, frames, BLOCK):
        stop = min(start + BLOCK, frames)
        part = np.lib.stride_tricks.sliding_window_view(samples, window)[start * shift :: shift]
        part = part[: stop - start]
        energy = np.einsum("ij,ij->i", part, part) - window * part.mean(axis=1) ** 2
        found[start:stop] = np.log(np.maximum(energy, FLOOR))
    return found


def c0(log_mel: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return Kaldi's cepstral coefficient C0 (frames,) float32 of log-mel features (frames, mel).

    C0 = √(1/M) Σ_m log-mel_m for samples of 16-bit size (``--use-energy=false``). The features are
    those of ``sv.features.fbank`` with the preset ``kaldi``, whose samples are in [-1, 1].
    """
    log_mel = np.asarray(log_mel, dtype=np.float64)
    bands = log_mel.shape[1]
    shift = 2.0 * math.log(FULL_SCALE)
    return ((log_mel.sum(axis=1) + bands * shift) / math.sqrt(bands)).astype(np.float32)


def energy_decisions(values: np.ndarray, options: EnergyVad | None = None) -> np.ndarray:
    """Return which frames are speech, (frames,) bool, as ``compute-vad`` decides.

    With L_t the value of frame t (``log_energy`` or ``c0``) and N the options: frame t is loud if
    L_t > threshold + mean_scale · mean(L). It is speech if at least ``proportion`` of the frames
    from t − context to t + context that exist are loud.

    Raises:
        InputError: ``values`` is not (frames,).
    """
    values = np.asarray(values, dtype=np.float32)
    if values.ndim != 1:
        raise InputError(f"energies must be (frames,), not {values.shape}")
    if len(values) == 0:
        return np.zeros(0, dtype=bool)
    options = options or EnergyVad()
    loud = values > energy_threshold(values, options)
    before = np.concatenate([[0], np.cumsum(loud)])
    places = np.arange(len(values))
    first = np.maximum(places - options.context, 0)
    last = np.minimum(places + options.context + 1, len(values))
    # Kaldi multiplies in float32, so that 3 of 5 reach a proportion of 0.6.
    wanted = (last - first).astype(np.float32) * np.float32(options.proportion)
    return before[last] - before[first] >= wanted


def energy_threshold(values: np.ndarray, options: EnergyVad) -> np.float32:
    """Return the value above which a frame of a recording with ``values`` (frames,) is loud."""
    mean = float(np.asarray(values, dtype=np.float64).mean())
    return np.float32(np.float32(options.threshold) + np.float32(options.mean_scale * mean))
