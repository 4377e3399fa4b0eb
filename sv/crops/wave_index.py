"""A training set of waveforms as arrays: a ``TrainingIndex`` whose rows are samples."""

import os
from pathlib import Path
from typing import Literal

import numpy as np

from sv.crops.ark_sample import sampled_entries
from sv.crops.index import TrainingIndex, read_lengths, read_locations, refuse_duplicates
from sv.errors import InputError
from sv.features.framing import num_samples
from sv.features.presets import Preset
from sv.kaldi.waves import WaveReader, parse

Domain = Literal["fbank", "wave"]
SCP, LENGTHS = "wav_ark.scp", "utt2num_samples"


class WaveformIndex(TrainingIndex):
    """Where each utterance's 16-bit waveform is, and how many samples it has.

    Attributes:
        lengths: (N,) int32, rows of each utterance: here samples. ``row_shape`` is ().
        mel_bins: None; training computes features.
        sample_rate: Hz, of all of them.
        arks, ark_id, offset, names, preset: as in ``TrainingIndex``.
    """

    dtype = np.int16
    reader = WaveReader

    def __init__(self, arks, ark_id, offset, lengths, names, sample_rate: int, preset="kaldi"):
        super().__init__(arks, ark_id, offset, lengths, names, None, preset)
        self.sample_rate, self.row_seconds = sample_rate, 1 / sample_rate

    @classmethod
    def load(cls, data_dir: str | os.PathLike, preset: Preset = "kaldi") -> "WaveformIndex":
        """Read ``wav_ark.scp`` and ``utt2num_samples`` of a data directory and check them.

        preset: the filterbank that the waveforms will get.

        Raises:
            InputError: as ``TrainingIndex.load``; also waveforms of different sample rates.
        """
        scp, counts = Path(data_dir) / SCP, Path(data_dir) / LENGTHS
        for path in (scp, counts):
            if not path.exists():
                raise InputError(
                    f"{path} does not exist: run stage 1 with --wave true, or train on features "
                    "(data.domain: fbank)"
                )
        names, arks, ark_id, offset = read_locations(scp)
        refuse_duplicates(names, scp)
        samples = read_lengths(counts, names, scp)
        rate = _check_arks(scp, names, arks, ark_id, offset, samples)
        index = cls(arks, ark_id, offset, samples, names, rate, preset)
        index.folder = data_dir
        return index

    def rows(self, frames: int) -> int:
        """Return the samples from which ``fbank`` makes exactly ``frames`` frames."""
        return num_samples(frames, self.sample_rate, self.preset)

    def to_power(self, windows: np.ndarray) -> np.ndarray:
        """Return samples that can be added: 16 bits would overflow."""
        return windows.astype(np.float32)

    def from_power(self, power: np.ndarray) -> np.ndarray:
        """Return the sum as it is: noise is brought to its level when it is mixed."""
        return power


def load_index(
    data_dir: str | os.PathLike, domain: Domain, preset: Preset = "kaldi"
) -> TrainingIndex:
    """Return the index of a data directory's features or waveforms.

    preset: the filterbank that waveforms will get; features have theirs.
    """
    if domain == "wave":
        return WaveformIndex.load(data_dir, preset)
    return TrainingIndex.load(data_dir)


def _check_arks(scp, names, arks, ark_id, offset, samples) -> int:
    """Check the end of every ark and a sample of headers; return the sample rate."""
    rate = None
    for entry in sampled_entries(names, arks, ark_id, offset):
        ark, name = entry.ark, entry.name
        found = parse(entry.buffer, entry.offset, entry.where)
        if found.samples != samples[entry.utterance]:
            raise InputError(
                f"{ark}: {name!r} has {found.samples} samples, {LENGTHS} beside {scp} says "
                f"{samples[entry.utterance]}; run stage 1 again with --wave true"
            )
        if rate not in (None, found.rate):
            raise InputError(
                f"{ark}: {name!r} is sampled at {found.rate} Hz, others at {rate} Hz; run "
                "stage 1 again with --wave true"
            )
        rate = found.rate
    return rate
