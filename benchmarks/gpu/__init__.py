"""What a GPU machine does with this toolkit, in one command: ``python -m benchmarks.gpu``."""
