"""Chooses the utterances that a loss compares: positives (SSPS) and hard negatives (CHNS)."""
