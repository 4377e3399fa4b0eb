"""The check of layer sizes among settings."""

from sv.errors import InputError


def refuse_empty_layers(config: object) -> None:
    """Raise ``InputError`` if a whole number among the settings of an encoder is below 1."""
    for name, value in vars(config).items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise InputError(f"encoder {config.name}: {name} must be at least 1, not {value}")
