"""A training set of waveforms: what it reads and what it refuses."""

import numpy as np
import pytest

from sv.crops.index import TrainingIndex
from sv.crops.wave_index import WaveformIndex, load_index
from sv.errors import InputError
from sv.features import fbank
from sv.kaldi.arks import ArkWriter


def write_rates(folder, rates):
    with ArkWriter(folder / "wav.ark", folder / "wav_ark.scp") as writer:
        for number, rate in enumerate(rates):
            writer.write_waveform(f"u{number}", np.arange(500, dtype=np.int16) + number, rate)
    counts = "".join(f"u{number} 500\n" for number in range(len(rates)))
    (folder / "utt2num_samples").write_text(counts)


def test_windows_and_their_frames(tmp_path, write_waves):
    write_waves(tmp_path, [3000, 4000, 700])
    index = load_index(tmp_path, "wave")
    assert isinstance(index, WaveformIndex) and len(index) == 3
    assert index.sample_rate == 16000 and index.lengths.tolist() == [3000, 4000, 700]
    assert index.rows(10) == 1840
    windows = index.read_windows(np.array([1, 2]), np.array([5, 600]), index.rows(10))
    assert windows.shape == (2, 1840) and windows.dtype == np.int16
    assert (windows[1][100:800] == windows[1][800:1500]).all()  # 700 samples, repeated
    assert fbank(windows / 32768.0).shape == (2, 10, 80)
    assert index.select(np.array([2])).ids(0) == "utt002"
    assert index.select(np.array([2])).sample_rate == 16000


def test_what_is_refused(tmp_path, write_waves, write_features):
    write_features(tmp_path, [20, 30])
    assert type(load_index(tmp_path, "fbank")) is TrainingIndex
    with pytest.raises(InputError, match=r"wav_ark.scp does not exist: run stage 1 with --wave"):
        load_index(tmp_path, "wave")
    write_waves(tmp_path, [3000, 4000])
    (tmp_path / "utt2num_samples").write_text("utt000 3000\nutt001 4001\n")
    with pytest.raises(InputError, match="utt001' has 4000 samples, utt2num_samples .* says 4001"):
        load_index(tmp_path, "wave")
    write_rates(tmp_path, [16000, 8000])
    with pytest.raises(InputError, match="u0' is sampled at 16000 Hz, others at 8000"):
        load_index(tmp_path, "wave")
