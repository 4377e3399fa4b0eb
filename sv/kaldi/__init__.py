"""Kaldi's files: arks and scp, windows into them, two-column tables."""
