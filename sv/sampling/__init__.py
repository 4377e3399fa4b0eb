"""Which utterances meet in a loss: positives (SSPS) and hard negatives (CHNS)."""
