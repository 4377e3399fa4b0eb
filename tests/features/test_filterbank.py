"""fbank against torchaudio's Kaldi functions, in every form it can be called."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import torchaudio

import sv.features
from sv.errors import InputError
from sv.features import fbank
from sv.features.filterbank import mel_banks
from sv.features.framing import frame_sizes, num_frames

TOLERANCE = 2e-3
TONE_TOLERANCE = 0.1


def speechlike(samples: int, sample_rate: int = 16000, seed: int = 0) -> torch.Tensor:
    """A gliding buzz with pauses, noise and an offset: a wide range of levels in every band."""
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(samples) / sample_rate
    buzz = torch.sin(2 * torch.pi * (120 * time + 40 * time**2)).sign() * (time % 0.7 < 0.4)
    return 0.1 * buzz + 0.002 * noise + 0.01


def reference(waveform: torch.Tensor, sample_rate: int, num_mel_bins: int) -> torch.Tensor:
    return torchaudio("compliance.kaldi").fbank(
        waveform[None], num_mel_bins=num_mel_bins, dither=0.0, sample_frequency=sample_rate
    )


def test_package_exports_the_function():
    assert callable(sv.features.fbank)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("num_mel_bins", [23, 40, 80])
def test_equals_torchaudio(sample_rate, num_mel_bins):
    waveform = speechlike(int(1.3 * sample_rate) + 7, sample_rate)
    expected = reference(waveform, sample_rate, num_mel_bins)
    features = fbank(waveform, sample_rate, num_mel_bins)
    assert features.dtype == torch.float32
    assert features.shape == expected.shape
    assert (features - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("samples", [400, 401, 559, 560, 561, 4000, 16000 * 21 + 13])
def test_equals_torchaudio_at_every_length(samples):
    """One frame, one sample more or less, and more than one block of frames."""
    waveform = speechlike(samples)
    expected = reference(waveform, 16000, 80)
    assert len(expected) == num_frames(samples)
    assert (fbank(waveform) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("scale", [1e-4, 1.0, 32768.0])
def test_the_waveform_is_used_as_it_is(scale):
    waveform = scale * speechlike(8000)
    assert (fbank(waveform) - reference(waveform, 16000, 80)).abs().max() < TOLERANCE


def test_equals_kaldis_online_filterbank():
    """kaldi-native-fbank, C++ after Kaldi's own code; scaled alike, without dither."""
    native = pytest.importorskip("kaldi_native_fbank", reason="needs the extra [dev]")
    waveform = speechlike(16000)
    options = native.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    online = native.OnlineFbank(options)
    online.accept_waveform(16000, waveform.tolist())
    online.input_finished()
    expected = np.stack([online.get_frame(place) for place in range(online.num_frames_ready)])
    assert np.abs(fbank(waveform).numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize("hertz", [50, 300, 1000, 7000])
def test_bands_without_power_differ_by_little(hertz):
    """Beside a pure tone the other bands hold rounding errors, torchaudio's more than ours."""
    waveform = 0.9 * torch.sin(2 * torch.pi * hertz * torch.arange(32000) / 16000)
    difference = (fbank(waveform) - reference(waveform, 16000, 80)).abs().max()
    assert difference < TONE_TOLERANCE


def test_is_closer_to_float64_than_torchaudio():
    waveform = speechlike(64000)
    exact = fbank(waveform.double())
    assert exact.dtype == torch.float64
    ours = (fbank(waveform) - exact).abs().max()
    theirs = (reference(waveform, 16000, 80) - exact).abs().max()
    assert ours < max(theirs, 1e-3)


def test_digital_silence_is_the_floor():
    features = fbank(torch.zeros(1600))
    assert torch.equal(features, torch.full((8, 80), float(np.log(np.float32(2.0**-23)))))


@pytest.mark.parametrize(("num_mel_bins", "sample_rate"), [(80, 16000), (40, 16000), (40, 8000)])
def test_mel_banks_equal_torchaudio(num_mel_bins, sample_rate):
    fft = frame_sizes(sample_rate)[2]
    expected, _ = torchaudio("compliance.kaldi").get_mel_banks(
        num_mel_bins, fft, sample_rate, 20.0, 0.0, 100.0, -500.0, 1.0
    )
    banks = mel_banks(num_mel_bins, sample_rate)
    assert banks.shape == (num_mel_bins, fft // 2 + 1)
    assert not banks[:, -1].any()
    np.testing.assert_allclose(banks[:, :-1], expected, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_array_in_array_out(dtype):
    waveform = speechlike(5000)
    array = waveform.numpy().astype(dtype)
    array.setflags(write=False)  # as a memory map would be
    features = fbank(array)
    assert isinstance(features, np.ndarray)
    assert features.dtype == dtype
    np.testing.assert_allclose(features, fbank(waveform).numpy(), atol=TOLERANCE)
    writable = array.copy()
    np.testing.assert_allclose(
        fbank(writable[::-1]), fbank(waveform.flip(0)).numpy(), atol=TOLERANCE
    )


def test_batch_equals_rows():
    batch = torch.stack([speechlike(7000, seed=seed) for seed in range(3)])
    features = fbank(batch)
    assert features.shape == (3, num_frames(7000), 80)
    for row, expected in zip(batch, features, strict=True):
        assert torch.equal(fbank(row), expected)
    assert torch.equal(fbank(batch.T.contiguous().T), features)


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(0, 3000), cut=st.integers(1, 5))
def test_a_frame_does_not_know_its_neighbours(samples, cut):
    """Dropping whole shifts from the start drops exactly as many frames."""
    waveform = speechlike(samples)
    features = fbank(waveform)
    assert features.shape == (num_frames(samples), 80)
    later = fbank(waveform[160 * cut :])
    assert torch.allclose(features[cut:], later, atol=1e-4)


def test_gradient_path_has_the_same_values():
    waveform = speechlike(6000)
    traced = waveform.clone().requires_grad_()
    features = fbank(traced)
    assert (features - fbank(waveform)).abs().max() < TOLERANCE
    features.sum().backward()
    assert traced.grad.isfinite().all()
    assert traced.grad.abs().sum() > 0


def test_gradient_by_finite_differences():
    waveform = speechlike(460, 1000).double().reshape(2, 230)[:, :60].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: fbank(x, 1000, 4), (waveform,))


def test_gradients_after_inference_mode():
    """Windows and filters made in inference mode must not spoil a later training step."""
    rate = 12345  # no other test asks for it, so nothing is kept yet
    waveform = speechlike(4000)
    with torch.inference_mode():
        fbank(waveform.double(), rate, 20)
        fbank(waveform, rate, 20)
    fbank(waveform.double().requires_grad_(), rate, 20).sum().backward()
    fbank(waveform.clone().requires_grad_(), rate, 20).sum().backward()


def test_autocast_changes_nothing():
    waveform = speechlike(6000).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = fbank(waveform)
    assert features.dtype == torch.float32
    assert torch.equal(features, fbank(waveform))


def test_half_precision_is_computed_in_float32():
    waveform = speechlike(3000).bfloat16()
    assert torch.equal(fbank(waveform), fbank(waveform.float()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_the_gpu():
    waveform = speechlike(32000)
    features = fbank(waveform.cuda())
    assert features.is_cuda
    assert (features.cpu() - fbank(waveform)).abs().max() < TOLERANCE


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_a_frame_is_no_frame(samples):
    assert fbank(torch.zeros(samples)).shape == (0, 80)
    assert fbank(torch.zeros(2, samples), num_mel_bins=40).shape == (2, 0, 40)
    assert fbank(np.zeros(samples, np.float32)).shape == (0, 80)
    assert num_frames(samples) == 0


def test_refusals():
    with pytest.raises(InputError, match="divide int16 by 32768"):
        fbank(np.zeros(1000, np.int16))
    with pytest.raises(InputError, match="divide int16 by 32768"):
        fbank(torch.zeros(1000, dtype=torch.int16))
    with pytest.raises(InputError, match="samples"):
        fbank(torch.zeros(1, 1, 1000))
    with pytest.raises(InputError, match="too many"):
        fbank(torch.zeros(1000), 16000, 256)
    with pytest.raises(InputError, match="sample rate"):
        fbank(torch.zeros(1000), 40, 2)
    with pytest.raises(InputError, match="at least 1"):
        fbank(torch.zeros(10), 16000, 0)
