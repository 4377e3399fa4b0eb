"""One thin program for each stage: ``python -m sv.bin.<name> --help``."""
