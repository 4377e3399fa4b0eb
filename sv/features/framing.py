"""How samples are divided into frames of 25 ms every 10 ms, for every preset of the filterbank.

Kaldi's frames lie within the waveform (``snip_edges``): frame t begins at sample t · shift. Frames
that are centred, as in torchaudio's MelSpectrogram and in librosa, have their middle at sample
t · shift, and the waveform is mirrored at both ends.
"""

import torch
from torch import Tensor

from sv.features.presets import definition

FRAMES_PER_SECOND = 100


def frame_sizes(sample_rate: int) -> tuple[int, int, int]:
    """Return (window, shift, FFT length) in samples: 25 ms, 10 ms, the next power of two."""
    window, shift = sample_rate * 25 // 1000, sample_rate // 100
    return window, shift, 1 << (window - 1).bit_length()


def num_frames(samples: int, sample_rate: int = 16000, preset: str = "kaldi") -> int:
    """Return how many frames ``samples`` give; 0 if they are fewer than one window."""
    window, shift, _ = frame_sizes(sample_rate)
    if samples < window:
        return 0
    return 1 + (samples if definition(preset).centred else samples - window) // shift


def num_samples(frames: int, sample_rate: int = 16000, preset: str = "kaldi") -> int:
    """Return the fewest samples that give ``frames`` frames, one window at least."""
    window, shift, _ = frame_sizes(sample_rate)
    between = (frames - 1) * shift
    return max(between, window) if definition(preset).centred else between + window


def frames_lasting(seconds: float, preset: str = "kaldi") -> int:
    """Return the frames of a crop that lasts ``seconds``.

    Centred frames are one more than the steps of 10 ms between them, so that their crop has exactly
    ``seconds`` of samples: 201 frames for 2 s.
    """
    return round(seconds * FRAMES_PER_SECOND) + definition(preset).centred


def mirrored(waveform: Tensor, sample_rate: int) -> Tensor:
    """Return (batch, samples) with half a window of its mirror image at each end.

    The first and the last sample are not repeated. It is a concatenation, because the gradient of
    torch's own padding is not deterministic on GPUs.
    """
    half = frame_sizes(sample_rate)[0] // 2
    before = waveform[:, 1 : half + 1].flip(-1)
    behind = waveform[:, -half - 1 : -1].flip(-1)
    return torch.cat((before, waveform, behind), dim=-1)
