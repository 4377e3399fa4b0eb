"""The baseline without a network: the mean filterbank of an utterance as its embedding.

It contains the long-term spectrum, and thus something of the speaker and everything of the
channel. If a trained encoder is not clearly better, it has learned nothing about speakers.
"""

from collections.abc import Iterable

import numpy as np

from sv.errors import InputError
from sv.kaldi.arks import read_matrix
from sv.progress import progress


def mean_feature(location: str) -> np.ndarray:
    """Return the mean over frames (mel,) float32 of the features at ``location`` (ark:offset)."""
    features = read_matrix(location)
    if not len(features):
        raise InputError(f"{location}: no frames; remove the utterance from feats.scp")
    return features.mean(axis=0, dtype=np.float64).astype(np.float32)


def mean_features(locations: Iterable[str], desc: str) -> np.ndarray:
    """Return the mean of each matrix: (utterances, mel) float32, with progress shown."""
    locations = list(locations)
    return np.stack([mean_feature(x) for x in progress(locations, desc=desc, unit="utt")])
