"""Filterbanks of whole utterances (4 to 10 s), one thread, against the peers in use."""

import importlib.util

import numpy as np
import torch
import torchaudio.compliance.kaldi as kaldi

from benchmarks.harness import Table, compare
from sv.features import fbank

RATE = 16000


def utterances(count: int) -> list[torch.Tensor]:
    """Noise with pauses; the cost of a filterbank does not depend on what is said."""
    generator = np.random.default_rng(0)
    signals = []
    for seconds in generator.uniform(4, 10, count):
        signal = 0.05 * generator.standard_normal(int(seconds * RATE))
        signals.append(torch.tensor(signal, dtype=torch.float32))
    return signals


def native(waveforms: list[torch.Tensor], bins: int) -> None:
    """kaldi-native-fbank: C++, one frame after the other, made for streams."""
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = bins
    for waveform in waveforms:
        online = kaldi_native_fbank.OnlineFbank(options)
        online.accept_waveform(RATE, waveform.tolist())
        np.stack([online.get_frame(frame) for frame in range(online.num_frames_ready)])


def contestants(waveforms: list[torch.Tensor], bins: int) -> dict:
    from lhotse import Fbank, FbankConfig

    lhotse = Fbank(FbankConfig(num_mel_bins=bins))
    arrays = [waveform.numpy() for waveform in waveforms]
    options = {"num_mel_bins": bins, "dither": 0.0, "sample_frequency": RATE}
    table = {
        "torchaudio": lambda: [kaldi.fbank(waveform[None], **options) for waveform in waveforms],
        "lhotse": lambda: [lhotse.extract(array, RATE) for array in arrays],
        "ours, tensors": lambda: [fbank(waveform, RATE, bins) for waveform in waveforms],
        "ours, arrays": lambda: [fbank(array, RATE, bins) for array in arrays],
    }
    if importlib.util.find_spec("kaldi_native_fbank"):
        table["kaldi-native-fbank"] = lambda: native(waveforms, bins)
    return table


def largest_difference(waveforms: list[torch.Tensor], bins: int) -> str:
    difference = exact = 0.0
    for waveform in waveforms[:10]:
        ours = fbank(waveform, RATE, bins)
        theirs = kaldi.fbank(waveform[None], num_mel_bins=bins, dither=0.0, sample_frequency=RATE)
        difference = max(difference, float((ours - theirs).abs().max()))
        exact = max(exact, float((ours - fbank(waveform.double(), RATE, bins)).abs().max()))
    return f"largest difference: {difference:.1e} from torchaudio, {exact:.1e} from float64"


def benchmark(quick: bool) -> list[Table]:
    """Filterbanks of whole utterances, one thread: torchaudio, lhotse, kaldi-native-fbank, ours."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tables = []
        waveforms = utterances(8 if quick else 60)
        for bins in (80, 40):
            table = compare(
                f"fbank-{bins}, {len(waveforms)} utterances of 4-10 s at 16 kHz, one thread",
                contestants(waveforms, bins),
                base="torchaudio",
                items=sum(map(len, waveforms)) / RATE,
                unit="s of audio",
                rounds=3 if quick else 9,
            )
            table.notes.append(largest_difference(waveforms, bins))
            tables.append(table)
        return tables
    finally:
        torch.set_num_threads(threads)
