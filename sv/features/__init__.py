"""Features: the one ``fbank`` of extraction, training and export."""

from sv.features.filterbank import fbank

__all__ = ["fbank"]
