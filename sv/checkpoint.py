"""Checkpoints: their contents, and functions that write, read and average them.

There are two kinds. Both are dictionaries of tensors and plain values that load with
``weights_only=True``:

- a *model* (``checkpoints/epoch_0012.pt``, ``final.pt``) has the encoder weights and the settings
  that features must match; embedding needs nothing else;
- the *state* (``checkpoints/last.pt``) has everything that resuming needs to give the same bits.
  The state before it stays as ``previous.pt``.

A marker and a SHA-256 follow torch's data; torch and other readers ignore them. With them we detect
a file that a disk or a copy has damaged. torch alone would accept a changed weight.
"""

import hashlib
import io
import logging
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from sv.errors import InputError
from sv.files import atomic_write
from sv.model_paths import remedy_for, require_checkpoint

logger = logging.getLogger(__name__)

MARK = b"SV-SHA256"
_TRAILER = len(MARK) + hashlib.sha256().digest_size


def save(path: str | Path, content: dict[str, Any], former: str | Path | None = None) -> None:
    """Write a checkpoint atomically: a reader sees the old one or the new one, never half of one.

    former: the new name of the old checkpoint; None: it is removed.
    """
    buffer = io.BytesIO()  # torch.save to a full disk raises an internal error, not OSError
    torch.save(content, buffer)
    data = buffer.getbuffer()
    with atomic_write(path, "wb", former) as handle:
        handle.write(data)
        handle.write(MARK + hashlib.sha256(data).digest())


def load(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint without running code in it.

    Raises:
        InputError: the file is missing, damaged, or not a checkpoint of this toolkit.
    """
    path = Path(path)
    require_checkpoint(path)
    data = path.read_bytes()
    if data[-_TRAILER:].startswith(MARK):  # files of the first versions have no marker
        body = memoryview(data)[:-_TRAILER]
        if hashlib.sha256(body).digest() != data[-hashlib.sha256().digest_size :]:
            raise InputError(
                f"{path}: damaged, its checksum does not fit its contents: copy it again, or train "
                "again"
            )
    try:
        # torch does not compress, so a small file cannot unpack to a large one.
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("compressed")
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        if not isinstance(content, dict):
            raise TypeError("not a dictionary")
        return content
    except Exception as error:  # an unpickler may raise any error for a file of another kind
        raise InputError(
            f"{path}: not a checkpoint of ours, or damaged: {remedy_for(path)}"
        ) from error


def digest(path: str | Path) -> str:
    """Return 12 hexadecimal digits of a checkpoint's bytes, or "" if there is none."""
    path = Path(path)
    if not path.is_file():
        return ""
    content = hashlib.sha256()
    with path.open("rb") as handle:
        while part := handle.read(1 << 22):
            content.update(part)
    return content.hexdigest()[:12]


def epoch_path(exp: str | Path, epoch: int) -> Path:
    """Return the path of the model after ``epoch`` epochs; epoch 0 is the untrained network."""
    return Path(exp) / "checkpoints" / f"epoch_{epoch:04d}.pt"


def state_path(exp: str | Path) -> Path:
    """Return the path of the state for resuming."""
    return Path(exp) / "checkpoints" / "last.pt"


def save_state(exp: str | Path, content: dict[str, Any]) -> None:
    """Write the state for resuming; the state before it stays as ``previous.pt``.

    A damaged ``last.pt`` is removed and does not become ``previous.pt``. Otherwise, if the process
    were killed between the two renames of the next save, only the damaged file would be left
    (``tests/kill_test.py --damage 0.5`` found this).
    """
    save(state_path(exp), content, former=previous_path(exp))


def load_state(exp: str | Path) -> dict[str, Any] | None:
    """Return the newest undamaged state of ``exp``, with a warning if it is not the last one.

    None if there is no state.

    Raises:
        InputError: all states are damaged.
    """
    last, previous = state_path(exp), previous_path(exp)
    if not last.exists() and not previous.exists():
        return None
    if last.exists():
        try:
            return load(last)
        except InputError as error:
            if not previous.exists():
                raise
            problem = str(error)
    else:  # the process was killed between two renames
        problem = f"{last} is missing"
    state = load(previous)
    logger.warning("%s. Training goes on from the state before it, %s", problem, previous)
    last.unlink(missing_ok=True)  # else the next save would replace the good state by it
    return state


def previous_path(exp: str | Path) -> Path:
    """Return the path of the state before the last one."""
    return state_path(exp).with_name("previous.pt")


def epochs_at_hand(exp: str | Path) -> list[int]:
    """Return the epochs whose models are in ``exp``, in order."""
    names = (p.name for p in (Path(exp) / "checkpoints").glob("epoch_*.pt"))
    return sorted(int(m[1]) for name in names if (m := re.fullmatch(r"epoch_(\d+)\.pt", name)))


def forget_models(exp: str | Path, last: int) -> None:
    """Remove the models of epochs 1 to ``last``; the model of the untrained network stays."""
    for epoch in epochs_at_hand(exp):
        if 0 < epoch <= last:
            epoch_path(exp, epoch).unlink()


def average(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Return a model whose weights are the mean of several models of one training.

    The mean is computed in float64; counters (integers) are those of the last model.

    Raises:
        InputError: there are no paths, or the models have different encoders.
    """
    models = [load(path) for path in paths]
    if not models:
        raise InputError("no checkpoint to average: has stage 3 run?")
    last = models[-1]
    if any(model["model"] != last["model"] for model in models):
        raise InputError("the checkpoints to average are of different encoders")
    weights = {}
    for name, value in last["encoder"].items():
        if value.is_floating_point():
            total = sum(model["encoder"][name].double() for model in models)
            value = (total / len(models)).to(value.dtype)
        weights[name] = value
    return {**last, "encoder": weights, "epochs": [e for model in models for e in model["epochs"]]}
