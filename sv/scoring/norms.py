"""The score normalisations by name."""

from sv.scoring.score_norm import ScoreNorm

NORMS: dict[str, type[ScoreNorm]] = dict.fromkeys(ScoreNorm.kinds, ScoreNorm)
"""``--kind`` → class, built as ``NORMS[kind](kind, top_n)``."""
