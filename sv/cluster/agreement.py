"""The agreement of clusters with true speakers: ORACLE figures, which training never uses."""

import numpy as np
from sklearn.metrics import normalized_mutual_info_score


def agreement(clusters: np.ndarray, speakers: np.ndarray) -> dict[str, float]:
    """Return figures in [0, 1] of ``clusters`` (N,) against ``speakers`` (N,); 1 is the best.

    - ``nmi``: mutual information over the mean of the two entropies (Strehl & Ghosh, JMLR 2002);
    - ``purity``: share of utterances whose speaker is the most frequent one of their cluster. It is
      1 if every utterance has a cluster of its own, so also look at the next figure;
    - ``speaker_recall``: share of utterances whose cluster is the most frequent one of their
      speaker;
    - ``speaker_accuracy``: share of the OTHER utterances in an utterance's cluster that have the
      same speaker, as a mean over utterances whose cluster has others. It says how often a positive
      that is drawn from the cluster is right;
    - ``coverage``: share of utterances whose cluster has other utterances.
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


def most_frequent(clusters: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Return the most frequent speaker of every cluster, from 0 to the highest; −1 of an empty one.

    clusters, speakers: (N,) whole numbers from 0. Among equally frequent ones the lowest counts.
    """
    pairs, counts = np.unique(np.stack([clusters, speakers]), axis=1, return_counts=True)
    best = np.full(clusters.max() + 1, -1)
    order = np.lexsort((-pairs[1], counts))  # the last one written stays
    best[pairs[0, order]] = pairs[1, order]
    return best


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]
