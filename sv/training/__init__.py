"""The training loop, its settings, its log, and the checks that watch it."""
