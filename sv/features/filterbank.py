"""Log mel filterbank energies as Kaldi computes them, for extraction, training and export.

The same numbers as ``torchaudio.compliance.kaldi.fbank(waveform, dither=0)``: frames of 25 ms
every 10 ms, only whole frames (``snip_edges``), mean removed from each frame, pre-emphasis 0.97,
Povey window, zeros up to a power of two, power spectrum, triangles on Kaldi's mel scale between
20 Hz and half the sample rate, natural logarithm floored at float32's epsilon.

Source of the definition: Kaldi's feat/feature-fbank.cc, feature-window.cc, mel-computations.cc.
"""

import math
from functools import lru_cache

import numpy as np
import torch

from sv.errors import InputError
from sv.features.framing import frame_sizes, mirrored, num_frames
from sv.features.presets import PRESETS, definition
from sv.numbers import SAMPLE_RATE, whole

PRE_EMPHASIS = PRESETS["kaldi"].pre_emphasis
FLOOR = PRESETS["kaldi"].floor
RATE = whole(1, int(SAMPLE_RATE.high))

# Frames worked on at a time. Few enough to bound memory (6 MB), many enough that an utterance of
# 10 s is one block: at 256 the fixed cost of some 15 calls a block makes it a quarter slower.
BLOCK = 1024
# Filters multiplied at a time. Sixteen neighbouring triangles touch few of the FFT's bins, so
# narrow strips skip most of the zeros, and 16 columns fill the vector registers exactly.
STRIP = 16


@lru_cache(maxsize=32)
def mel_banks(mel_bins: int, sample_rate: int, preset: str = "kaldi") -> np.ndarray:
    """Return the weights (mel_bins, fft // 2 + 1), float64, of triangular filters.

    mel(f) = 1127 ln(1 + f / 700); the corners are equally spaced in mel and the sides are
    straight lines in mel (Kaldi's) or in Hz. The bin at half the sample rate has weight 0.
    Raises ``InputError`` if so many filters are asked for that one of them covers no bin.
    """
    _, _, fft = frame_sizes(sample_rate)
    high_hz = sample_rate / 2
    if mel_bins < 1 or sample_rate < 100:
        raise InputError(
            f"{mel_bins} mel bins at {sample_rate} Hz: needs at least 1 bin, and a sample "
            "rate of at least 100 Hz"
        )

    def mel(hz):
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    form = definition(preset)
    corners = np.linspace(mel(form.low_hz), mel(high_hz), mel_bins + 2)
    bins = np.arange(fft // 2 + 1) * (sample_rate / fft)
    if form.straight_in_hz:
        corners = 700.0 * np.expm1(corners / 1127.0)
    else:
        bins = mel(bins)
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[:, -1] = 0.0
    if not weights.any(axis=1).all():
        raise InputError(
            f"{mel_bins} mel bins are too many at {sample_rate} Hz: a filter falls between "
            "two FFT bins; choose fewer (80 at 16 kHz, 40 at 8 kHz)"
        )
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept must also serve a later call with gradients
def _window(
    sample_rate: int, dtype: torch.dtype, device: torch.device, preset: str = "kaldi"
) -> torch.Tensor:
    return definition(preset).window(frame_sizes(sample_rate)[0]).to(device, dtype)


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _banks(
    mel_bins: int, sample_rate: int, dtype: torch.dtype, device: torch.device, preset: str
) -> torch.Tensor:
    """Return the filters (fft // 2 + 1, mel_bins) as a tensor."""
    banks = mel_banks(mel_bins, sample_rate, preset)
    return torch.tensor(banks.T).contiguous().to(device, dtype)


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _strips(mel_bins: int, sample_rate: int) -> list[tuple[slice, slice, torch.Tensor]]:
    """Return the filters as (bins, filters, float32 weights (bins, at most STRIP))."""
    banks = mel_banks(mel_bins, sample_rate).T
    strips = []
    for first in range(0, mel_bins, STRIP):
        filters = slice(first, min(first + STRIP, mel_bins))
        used = np.flatnonzero(banks[:, filters].any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        weights = torch.tensor(banks[bins, filters], dtype=torch.float32).contiguous()
        strips.append((bins, filters, weights))
    return strips


def _fast(waveform: torch.Tensor, sample_rate: int, out: torch.Tensor) -> None:
    """Fill ``out`` (frames, mel) from one float32 CPU waveform (samples,), without gradients.

    Subtracting the frame's mean m and pre-emphasis commute up to a constant: for every sample
    but the first, (x[n] - m) - 0.97 (x[n-1] - m) = (x[n] - 0.97 x[n-1]) - 0.03 m; the first is
    multiplied by the window's zero. So pre-emphasis is done once for the whole waveform, not
    once for each of the overlapping frames.
    """
    window, shift, fft = frame_sizes(sample_rate)
    frames, mel_bins = out.shape
    strips = _strips(mel_bins, sample_rate)
    weights = _window(sample_rate, torch.float32, waveform.device)
    offsets = waveform.unfold(0, window, shift).mean(dim=1, keepdim=True)
    offsets.mul_(PRE_EMPHASIS - 1.0)
    emphasised = torch.empty_like(waveform)
    emphasised[0] = 0.0
    torch.sub(waveform[1:], waveform[:-1], alpha=PRE_EMPHASIS, out=emphasised[1:])
    emphasised = emphasised.unfold(0, window, shift)
    block = math.ceil(frames / math.ceil(frames / BLOCK))
    padded = torch.zeros(block, fft)
    power = torch.empty(block, fft // 2 + 1)
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        n = stop - start
        inside = padded[:n, :window]
        torch.add(emphasised[start:stop], offsets[start:stop], out=inside)
        inside.mul_(weights)
        parts = torch.view_as_real(torch.fft.rfft(padded[:n])).square_()
        torch.add(parts[..., 0], parts[..., 1], out=power[:n])
        for bins, filters, weight in strips:
            torch.mm(power[:n, bins], weight, out=out[start:stop, filters])
    out.clamp_min_(FLOOR).log_()


def _general(waveform: torch.Tensor, sample_rate: int, mel_bins: int, preset: str) -> torch.Tensor:
    """The filterbank of (batch, samples) on any device, in plain differentiable steps."""
    window, shift, fft = frame_sizes(sample_rate)
    form = definition(preset)
    frames = waveform.unfold(-1, window, shift)
    if form.remove_mean:
        frames = frames - frames.mean(dim=-1, keepdim=True)
    if form.pre_emphasis:
        # The first sample of a frame is its own predecessor; the window makes it 0 in any case.
        before = torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)
        frames = frames - form.pre_emphasis * before
    weights = _window(sample_rate, waveform.dtype, waveform.device, preset)
    spectrum = torch.fft.rfft(frames * weights, n=fft)
    power = spectrum.real.square() + spectrum.imag.square()
    banks = _banks(mel_bins, sample_rate, waveform.dtype, waveform.device, preset)
    # Autocast would round the mel product to 16 bits.
    with torch.autocast(waveform.device.type, enabled=False):
        return form.log(torch.matmul(power, banks))


def _in_blocks(waveform: torch.Tensor, sample_rate: int, preset: str, out: torch.Tensor) -> None:
    """Fill ``out`` (frames, mel) from one waveform, a block of frames at a time."""
    window, shift, _ = frame_sizes(sample_rate)
    for start in range(0, len(out), BLOCK):
        stop = min(start + BLOCK, len(out))
        part = waveform[start * shift : (stop - 1) * shift + window]
        out[start:stop] = _general(part[None], sample_rate, out.shape[1], preset)[0]


def fbank(
    waveform: torch.Tensor | np.ndarray,
    sample_rate: int = 16000,
    num_mel_bins: int = 80,
    preset: str = "kaldi",
) -> torch.Tensor | np.ndarray:
    """Return log mel filterbank energies, Kaldi's unless ``preset`` names others.

    ``waveform``: (samples,) or (batch, samples), floating point, used as it is: audio in [-1, 1]
    is not scaled to 16-bit range. Returns (frames, num_mel_bins) or (batch, frames,
    num_mel_bins), a tensor for a tensor (on its device, differentiable) and an array for an
    array. Computed in float32; float64 input is computed and returned in float64.

    Less than one frame (25 ms) gives ZERO frames, not an error: what to do about a short
    utterance is the caller's to say. Raises ``InputError`` for integers, for other shapes, and
    for more filters than the FFT can fill.

    Differences from ``torchaudio.compliance.kaldi.fbank`` are below 2e-3 for signals with power in
    every band, as speech has. Beside a loud pure tone a band holds rounding errors alone; there
    they are below 0.1, and each of the two is as far from float64.
    With ``torch.set_float32_matmul_precision("medium")`` on a processor with AMX the mel product
    is done in bfloat16 and they can reach 4e-3; feature extraction leaves that setting alone.
    """
    if isinstance(waveform, np.ndarray):
        if waveform.dtype.kind != "f":
            raise InputError(_not_floating(waveform.dtype))
        dtype = np.float64 if waveform.dtype.itemsize > 4 else np.float32
        waveform = np.require(waveform, dtype, ["C", "W"])  # torch wraps nothing else
        return fbank(torch.from_numpy(waveform), sample_rate, num_mel_bins, preset).numpy()
    if not waveform.is_floating_point():
        raise InputError(_not_floating(waveform.dtype))
    if waveform.ndim not in (1, 2):
        raise InputError(
            f"fbank takes a waveform (samples,) or (batch, samples), not {tuple(waveform.shape)}"
        )
    sample_rate = RATE.check(sample_rate, "the sample rate given to fbank")
    if waveform.dtype not in (torch.float32, torch.float64):
        waveform = waveform.float()
    batch = waveform if waveform.ndim == 2 else waveform[None]
    # Refuses what it must also if there is no frame.
    mel_banks(num_mel_bins, sample_rate, preset)
    frames = num_frames(waveform.shape[-1], sample_rate, preset)
    if frames and definition(preset).centred:
        batch = mirrored(batch, sample_rate)
    differentiable = waveform.requires_grad and torch.is_grad_enabled()
    if frames == 0 or len(batch) == 0:
        features = batch.new_zeros((len(batch), frames, num_mel_bins))
    elif differentiable or waveform.dtype == torch.float64 or waveform.device.type != "cpu":
        features = _general(batch, sample_rate, num_mel_bins, preset)
    else:
        features = torch.empty(len(batch), frames, num_mel_bins)
        with torch.no_grad():
            for row, out in zip(batch, features, strict=True):
                if preset == "kaldi":
                    _fast(row.contiguous(), sample_rate, out)
                else:
                    _in_blocks(row, sample_rate, preset, out)
    return features if waveform.ndim == 2 else features[0]


def _not_floating(dtype) -> str:
    return f"fbank takes floating-point audio in [-1, 1], not {dtype}: divide int16 by 32768"
