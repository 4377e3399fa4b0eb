"""Checks of settings that several methods have."""


def check_sizes(name: str, sizes: list[int]) -> None:
    """Raise ``ValueError`` if a layer of an MLP would be empty."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name}: sizes must be at least 1, not {sizes}")
