"""One thin program per stage: ``python -m sv.bin.<name> --help``."""
