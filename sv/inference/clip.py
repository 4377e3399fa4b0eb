"""All that a page shows of one recording: samples, speech, log-mel and the embedding."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.features import fbank
from sv.inference.speaker_model import SpeakerModel
from sv.inference.speech import SpeechMeter

LONGEST_SECONDS = 600
"""A picture of a longer recording shows nothing."""
MEL_BINS = 80


class Clip(NamedTuple):
    """A recording.

    samples: (samples,) float32 at ``sample_rate`` in Hz. speech: (frames,) bool, each 10 ms.
    log_mel: (frames, mel). seconds: of speech. vector: the embedding (dim,).
    """

    samples: np.ndarray
    sample_rate: int
    speech: np.ndarray
    log_mel: np.ndarray
    seconds: float
    vector: np.ndarray


def look_at(model: SpeakerModel, path: str | Path, needed: float = 0.5) -> Clip:
    """Return what is in an audio file.

    Raises:
        InputError: as ``SpeakerModel.listen``; the pictures are of the first ten minutes.
    """
    from sv.audio.files import read_audio

    heard = model.listen(path, needed=needed)
    samples = read_audio(path, model.sample_rate)[: LONGEST_SECONDS * model.sample_rate]
    meter = SpeechMeter(model.sample_rate)
    meter.add(samples)
    bins = min(MEL_BINS, model.embedder.mel_bins or MEL_BINS)
    log_mel = fbank(samples, model.sample_rate, bins)
    return Clip(samples, model.sample_rate, meter.speech(), log_mel, heard.speech, heard.vector)
