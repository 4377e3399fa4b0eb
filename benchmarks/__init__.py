"""Paired measurements of the toolkit against its peers; see ``benchmarks/harness.py``."""
