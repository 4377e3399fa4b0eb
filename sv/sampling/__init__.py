"""Chooses which utterances a loss compares: positives (SSPS) and hard negatives (CHNS)."""
