"""Data directories: what stages 0 and 1 write, read, check and repair."""
