"""Checks of the path to a model, with a message for each kind of wrong path.

A model is a folder that ``sv package`` wrote, or a file of weights: ``final.pt`` of an experiment,
or one of its ``checkpoints``.
"""

from pathlib import Path

from sv.errors import InputError

EITHER = "give a model directory (`sv package` writes one), or the final.pt of an experiment"
_FILE = "give the final.pt of an experiment, or one of its checkpoints/epoch_NNNN.pt"
_OTHER_FILES = {  # ending of a file that is given instead of a checkpoint -> message
    ".safetensors": "it holds the weights of a model directory: give that folder",
    ".onnx": f"it is an exported graph: {EITHER}",
    ".ts": f"it is an exported graph: {EITHER}",
    ".yaml": f"it is a file of settings: {EITHER}",
    ".json": f"it is a table: {EITHER}",
    ".ark": f"it holds features or embeddings: {EITHER}",
    ".scp": f"it lists features or embeddings: {EITHER}",
}


def refuse_missing(path: str | Path) -> None:
    """Raise ``InputError`` if nothing is at ``path``, a model directory or a file of weights."""
    path = Path(path)
    if path.exists():
        return
    if path.suffix:
        raise InputError(
            f"{path}: there is no such file; stage 3 writes checkpoints/, stage 6 final.pt"
        )
    raise InputError(f"{path}: there is no such folder or file; {EITHER}")


def require_checkpoint(path: str | Path) -> None:
    """Raise ``InputError`` unless a file is at ``path``."""
    path = Path(path)
    refuse_missing(path)
    if path.is_dir():
        inside = path / "final.pt"
        remedy = f"give {inside}" if inside.is_file() else _FILE
        raise InputError(f"{path} is a folder, not a file of weights; {remedy}")
    if not path.is_file():
        raise InputError(f"{path} is no regular file (a pipe or a device?); {_FILE}")


def remedy_for(path: str | Path) -> str:
    """Return what to do about a file that is no checkpoint, by its ending."""
    return _OTHER_FILES.get(Path(path).suffix, "give a file that stage 3 or stage 6 wrote")
