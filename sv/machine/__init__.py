"""The machine: its GPUs, its memory, worker processes."""
