"""Packages that are a reference in tests and that the toolkit itself does without."""

import importlib

import pytest


def torchaudio(module: str = ""):
    """Return torchaudio, or a module below it; skip the test if it cannot be imported.

    It may be absent, or built for another torch: then loading its library raises OSError.
    """
    try:
        return importlib.import_module(".".join(filter(None, ("torchaudio", module))))
    except (ImportError, OSError) as error:
        pytest.skip(f"torchaudio, the reference here, cannot be imported: {str(error)[:100]}")
