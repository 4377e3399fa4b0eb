"""The baseline without a network: the mean filterbank of an utterance as its embedding.

It is the long-term spectrum, which shows a little of the speaker and all of the channel. If a
trained encoder is not clearly better, the encoder has learned nothing about speakers.
"""

from collections.abc import Iterable

import numpy as np

from sv.errors import InputError
from sv.kaldi.arks import read_matrix
from sv.progress import progress


def mean_feature(location: str) -> np.ndarray:
    """Return the mean over frames (mel,) float32 of the features at ``location`` (ark:offset).

    Raises:
        InputError: the utterance has no frames.
    """
    features = read_matrix(location)
    if not len(features):
        raise InputError(f"{location}: no frames; remove the utterance from feats.scp")
    return features.mean(axis=0, dtype=np.float64).astype(np.float32)


def mean_features(locations: Iterable[str], desc: str) -> np.ndarray:
    """Return the mean of each matrix, (utterances, mel) float32; show progress."""
    locations = list(locations)
    return np.stack([mean_feature(x) for x in progress(locations, desc=desc, unit="utt")])
