"""From log-likelihood ratios to probabilities: of a pair, and of a voice among known speakers."""

import math

import numpy as np


def probability(llr: float, prior: float) -> float:
    """Return the probability of the same speaker by Bayes' rule.

    llr: natural logarithm of P(score | same) / P(score | different). prior: between 0 and 1.
    """
    logit = llr + math.log(prior) - math.log1p(-prior)
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def posteriors(llrs: np.ndarray, prior: float) -> tuple[np.ndarray, float]:
    """Return the probability of each known speaker (n,), and that of none of them.

    Exactly one is true: speaker i speaks, each with the probability prior / n before anything is
    heard, or somebody else does. With L_i = exp(llr_i),

        P(i) = (prior / n) L_i / Z,  P(none) = (1 - prior) / Z,

    and Z makes the sum 1 (Bayes' rule). If speaker i speaks, the scores against the other speakers
    are taken to be distributed as those of strangers.

    Parameters
    ----------
    llrs: (n,) natural log-likelihood ratios of the voice against each known speaker.
    prior: the probability that the voice is of any known speaker, between 0 and 1.
    """
    llrs = np.asarray(llrs, np.float64)
    if len(llrs) == 0:
        return llrs, 1.0
    logs = np.concatenate((llrs + math.log(prior / len(llrs)), [math.log1p(-prior)]))
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    return shares[:-1], float(shares[-1])
