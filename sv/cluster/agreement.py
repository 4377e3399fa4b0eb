"""How well clusters agree with true speakers. These are ORACLE figures, never used in training."""

import numpy as np
from sklearn.metrics import normalized_mutual_info_score


def agreement(clusters: np.ndarray, speakers: np.ndarray) -> dict[str, float]:
    """Return figures in [0, 1] of ``clusters`` (N,) against ``speakers`` (N,), 1 the best.

    - ``nmi``: mutual information over the mean of the two entropies (Strehl & Ghosh, JMLR 2002);
    - ``purity``: utterances whose speaker is the most frequent of their cluster. It is 1 when
      every utterance has a cluster of its own, so read it next to the following;
    - ``speaker_recall``: utterances whose cluster is the most frequent of their speaker;
    - ``speaker_accuracy``: over utterances with company, the share of the OTHER utterances of
      their cluster that have their speaker: how often a positive drawn from the cluster is right;
    - ``coverage``: utterances with company in their cluster.
    """
    pairs, counts = np.unique(
        np.stack([_codes(clusters), _codes(speakers)]), axis=1, return_counts=True
    )
    of_cluster = np.bincount(pairs[0], counts).astype(np.int64)
    best_of_cluster, best_of_speaker = np.zeros(len(of_cluster)), np.zeros(pairs[1].max() + 1)
    np.maximum.at(best_of_cluster, pairs[0], counts)
    np.maximum.at(best_of_speaker, pairs[1], counts)
    others = of_cluster[pairs[0]] - 1
    company = others > 0
    right = counts[company] * (counts[company] - 1) / others[company]
    with_company = counts[company].sum()
    return {
        "nmi": float(normalized_mutual_info_score(speakers, clusters)),
        "purity": float(best_of_cluster.sum() / len(clusters)),
        "speaker_recall": float(best_of_speaker.sum() / len(clusters)),
        "speaker_accuracy": float(right.sum() / with_company) if with_company else 0.0,
        "coverage": float(with_company / len(clusters)),
    }


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]
