"""A model directory: a folder with everything that is needed to recognise speakers.

| file | holds |
|---|---|
| ``model.safetensors`` | the encoder's weights, float32; the arrays of a whitening, or a cohort |
| ``config.yaml`` | ``model`` (the encoder), ``features``, ``weights`` (their SHA-256) |
| ``calibration.json`` | optional: how a cosine becomes a log-likelihood ratio |
| ``README.md`` | the model card, for people |

No file holds code, and reading a file runs no code. The SHA-256 is needed because safetensors
detects a file that was cut off, but not a changed byte.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sv import config
from sv.config import option
from sv.data.replaced import replaced_directory
from sv.errors import InputError
from sv.features.normalise import Normalisation
from sv.features.presets import Preset
from sv.files import atomic_write
from sv.model_paths import refuse_missing, remedy_for
from sv.numbers import to_float
from sv.text import read_text

WEIGHTS, CONFIG, CALIBRATION, CARD = (
    "model.safetensors",
    "config.yaml",
    "calibration.json",
    "README.md",
)
WHITENING = "whitening."
"""Prefix of the arrays of the whitening in ``model.safetensors``."""
COHORT = "cohort."
"""Prefix of the arrays of the cohort: ``rows`` and ``top_n``."""


@dataclass
class FeatureConfig:
    """The features that the encoder needs: log mel filterbanks (``sv.features.fbank``)."""

    sample_rate: int = option(16000, "sample rate in Hz; audio at another rate is resampled")
    mel_bins: int = option(80, "number of mel bands, as in stage 1")
    normalise: Normalisation = option(
        "mean", "normalisation of each band over time, as in training"
    )
    preset: Preset = option("kaldi", "filterbank (sv.features.presets), as in training")


@dataclass
class WeightsConfig:
    """The weights that belong to the other settings."""

    sha256: str = option("", "hash of model.safetensors; a file with another hash is refused")


@dataclass(frozen=True)
class CosineCalibration:
    """An affine map from score to log-likelihood ratio: llr = scale * score + offset.

    The score is the cosine, or the AS-normalised cosine if the model has a cohort.

    The logarithm is natural. ``made_on`` names the trials on which the map was fitted.
    """

    scale: float
    offset: float
    made_on: str = ""

    def llr(self, cosine: float) -> float:
        """Return the natural logarithm of P(cosine | same speaker) / P(cosine | different)."""
        return self.scale * cosine + self.offset


class ModelFiles(NamedTuple):
    """Contents of a model directory. ``weights``: name -> tensor; ``model``: encoder settings.

    ``whitening``: ``mean`` (d,) and ``projection`` (d, k), which are applied to every embedding.
    ``sha256``: of the file of weights.
    ``cohort``: ``rows`` (n, d) of length one and ``top_n`` (1,), for AS-norm of the cosines.
    """

    weights: dict[str, Any]
    model: dict[str, Any]
    features: FeatureConfig
    calibration: CosineCalibration | None
    whitening: dict[str, Any] | None = None
    sha256: str = ""
    cohort: dict[str, Any] | None = None


def write(
    folder: str | Path,
    weights: dict[str, Any],
    model: dict[str, Any],
    features: FeatureConfig,
    calibration: CosineCalibration | None,
    card: str,
    whitening: dict[str, Any] | None = None,
    cohort: dict[str, Any] | None = None,
) -> None:
    """Write a model directory atomically; an older one is replaced as a whole.

    Parameters
    ----------
    weights: name -> tensor.
    model: the encoder's settings with its ``name``.
    card: the text of README.md.
    whitening: ``mean`` and ``projection``; they lie beside the weights, so a program that does not
        know them refuses the file instead of giving other embeddings.
    cohort: ``rows`` and ``top_n``, beside the weights for the same reason.

    Raises:
        InputError: ``folder`` exists and is not a model directory.
    """
    from safetensors.torch import save

    for prefix, arrays in ((WHITENING, whitening), (COHORT, cohort)):
        weights = weights | {prefix + name: value for name, value in (arrays or {}).items()}
    data = save({name: value.detach().cpu().contiguous() for name, value in weights.items()})
    settings = {
        "model": model,
        "features": vars(features),
        "weights": {"sha256": hashlib.sha256(data).hexdigest()},
    }
    with replaced_directory(folder, WEIGHTS) as new:
        (new / WEIGHTS).write_bytes(data)
        (new / CONFIG).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        (new / CARD).write_text(card, encoding="utf-8")
        if calibration is not None:
            write_calibration(new / CALIBRATION, calibration)


def read(folder: str | Path) -> ModelFiles:
    """Read a model directory and check that it is complete.

    Raises:
        InputError: there is no such folder, or a file in it is missing, damaged or of another
            model.
    """
    folder = Path(folder)
    _require(folder)
    # The schema of encoders imports torch, which is slow to load, so it comes after the checks.
    from sv.encoders import ENCODERS

    schema = {
        "model": {name: kind for name, (_, kind) in ENCODERS.items()},
        "features": FeatureConfig,
        "weights": WeightsConfig,
    }
    groups = config.load(schema, folder / CONFIG)
    settings = config.to_dict(groups)
    features = groups["features"]
    if settings["model"]["mel_bins"] != features.mel_bins:
        raise InputError(
            f"{folder / CONFIG}: model.mel_bins is {settings['model']['mel_bins']} but "
            f"features.mel_bins is {features.mel_bins}: package the model again"
        )
    calibration = folder / CALIBRATION
    weights, found = _read_weights(folder / WEIGHTS, groups["weights"].sha256)
    whitening, cohort = _taken(weights, WHITENING), _taken(weights, COHORT)
    return ModelFiles(
        weights,
        settings["model"],
        features,
        read_calibration(calibration) if calibration.exists() else None,
        whitening or None,
        found,
        cohort or None,
    )


def _taken(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Remove the arrays with this prefix from ``weights``, and return them."""
    names = [name for name in weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): weights.pop(name) for name in names}


def _require(folder: Path) -> None:
    refuse_missing(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, not a model directory; {remedy_for(folder)}")
    missing = [name for name in (WEIGHTS, CONFIG) if not (folder / name).is_file()]
    if missing:
        hint = ""
        if (folder / "final.pt").exists():
            hint = (
                f"; this is an experiment: give {folder / 'final.pt'}, or make a model directory "
                f"with `sv package --exp {folder} --out DIR`"
            )
        elif (folder / "checkpoints").is_dir():
            hint = (
                "; this is an experiment without final.pt: run its stage 6, or give one of its "
                "checkpoints/epoch_NNNN.pt"
            )
        raise InputError(
            f"{folder} is not a complete model directory: {' and '.join(missing)} missing{hint}"
        )


def _read_weights(path: Path, sha256: str) -> tuple[dict[str, Any], str]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    remedy = "copy the model directory again"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise InputError(f"{path} is damaged, or not the file that {CONFIG} was made for: {remedy}")
    try:
        return load(data), found
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}): {remedy}") from None


def write_calibration(path: str | Path, calibration: CosineCalibration) -> None:
    """Write ``calibration.json``."""
    with atomic_write(path) as handle:
        json.dump(vars(calibration), handle, indent=1, ensure_ascii=False, allow_nan=False)
        handle.write("\n")


def read_calibration(path: str | Path) -> CosineCalibration:
    """Read ``{"scale": a, "offset": b, ...}``; unknown keys are ignored.

    Raises:
        InputError: the file is missing or not JSON, or ``scale`` and ``offset`` are not both finite
            numbers.
    """
    path = Path(path)
    try:
        values = json.loads(read_text(path, ": there is no such calibration file"))
        scale, offset = (to_float(str(values[name])) for name in ("scale", "offset"))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise InputError(
            f'{path} should hold {{"scale": number, "offset": number}}: fit the calibration again'
        ) from None
    if not (math.isfinite(scale) and math.isfinite(offset)):
        raise InputError(f"{path}: scale and offset must be finite: fit the calibration again")
    return CosineCalibration(scale, offset, str(values.get("made_on", "")))
