"""From embeddings to figures: scores, error rates and their intervals.

Nothing here imports torch or the training code; ``numpy`` arrays in, ``numpy`` arrays out.
"""
