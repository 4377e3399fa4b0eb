"""The common part of all back-ends: the scikit-learn style, and files that hold only numbers.

Constructors only store their arguments. ``fit`` learns, and the learned values are in attributes
that end in ``_``. A back-end is saved as safetensors, the format of the network's weights. Such a
file has arrays and a JSON header, and reading it runs no code.
"""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from sv.errors import InputError
from sv.files import atomic_write

HEADER = "sv"
Kind = TypeVar("Kind", bound="Backend")


class Backend:
    """Base class of the back-ends that are learned from data."""

    learned_from_: Mapping[str, str] = MappingProxyType({})
    """The sources of the training data, for a reader of the file; empty if nobody set them."""

    def settings(self) -> dict:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def save(self, path: str | Path) -> None:
        """Write settings and learned state, atomically.

        Raises ``ValueError`` if the back-end is not fitted.
        """
        from safetensors.numpy import save

        arrays, rest = {}, {}
        for name, value in vars(self).items():
            if name.endswith("_") and not name.startswith("_"):
                (arrays if isinstance(value, np.ndarray) else rest)[name] = value
        if not arrays and not rest:
            raise ValueError(f"{type(self).__name__} is not fitted: there is nothing to save")
        header = {"kind": type(self).__name__, "settings": self.settings(), "learned": rest}
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        with atomic_write(path, "wb") as handle:
            handle.write(save(arrays, metadata={HEADER: json.dumps(header)}))

    @classmethod
    def load(cls: type[Kind], path: str | Path) -> Kind:
        """Read a file of ``save``. Raises ``InputError`` for other files and other back-ends."""
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file; run the program that writes it")
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                if not isinstance(header, dict):
                    raise ValueError("its header is not a JSON object")
        except (SafetensorError, ValueError, RecursionError, TypeError) as error:
            raise InputError(f"{path} is not a file of a back-end (safetensors): {error}") from None
        if header.get("kind") != cls.__name__:
            raise InputError(
                f"{path} holds {header.get('kind', 'no back-end')}, not {cls.__name__}; give the "
                "file that the program for it wrote"
            )
        try:
            backend = cls(**header["settings"])
            learned = {**header["learned"], **arrays}
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} does not fit this version ({error}); make it again") from None
        for name, value in learned.items():
            if name.endswith("_") and not name.startswith("_"):  # never overwrite a method
                setattr(backend, name, value)
        return backend
