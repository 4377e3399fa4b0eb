"""The training loop, its settings, its log, and the watch over it."""
