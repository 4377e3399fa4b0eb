"""The baseline without a network: the mean filterbank of an utterance as its embedding.

It is the long-term spectrum, which shows a little of the speaker and all of the channel. If a
trained encoder is not clearly better, the encoder has learned nothing about speakers.
"""

from collections.abc import Iterable

import numpy as np

from sv.errors import InputError
from sv.inference.cepstra import cepstra, moments
from sv.kaldi.arks import read_matrix
from sv.progress import progress


def mean_feature(location: str, cepstral: int = 0, deviation: bool = False) -> np.ndarray:
    """Return the mean over frames (mel,) float32 of the features at ``location`` (ark:offset).

    With ``cepstral`` N it is the mean of cepstra 1 to N; with ``deviation`` the standard deviations
    follow it.

    Raises:
        InputError: the utterance has no frames.
    """
    features = read_matrix(location)
    if not len(features):
        raise InputError(f"{location}: no frames; remove the utterance from feats.scp")
    return moments(cepstra(features, cepstral) if cepstral else features, deviation)


def mean_features(
    locations: Iterable[str], desc: str, cepstral: int = 0, deviation: bool = False
) -> np.ndarray:
    """Return ``mean_feature`` of each matrix, (utterances, d) float32; show progress."""
    shown = progress(list(locations), desc=desc, unit="utt")
    return np.stack([mean_feature(place, cepstral, deviation) for place in shown])
