"""From embeddings to figures: scores, error rates and their intervals.

This package imports neither torch nor the training code. Its inputs and outputs are ``numpy``
arrays.
"""
