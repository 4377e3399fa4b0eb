"""A trained model: from audio to embeddings, scores and probabilities.

model = sv.load("exp/simclr/model")
vector = model.embed(waveform, sample_rate)       # (dim,) float32
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sv.audio.channel_choice import to_mono
from sv.audio.files import not_audio, read_audio, resample
from sv.errors import AudioError, InputError
from sv.features import fbank
from sv.features.presets import definition
from sv.files import shown
from sv.inference import model_dir
from sv.inference.embedder import Embedder
from sv.numbers import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

    from sv.inference.crops import EvenCrops

log = logging.getLogger(__name__)

SHORT_SECONDS = 1.0
"""If a recording is shorter, its embedding says little about the speaker; there is a warning."""
MIN_SECONDS = 0.1
"""A shorter recording has not even a vowel, and subtracting the mean over time leaves little."""
SILENCE = 1e-3
"""If no log mel energy exceeds that of silence by more than this, the recording is silent."""


class SpeakerModel:
    """An encoder with its features and, if it has one, its calibration.

    ``embedder``: maps log mel features to vectors. ``sample_rate``: of its audio, in Hz.
    ``calibration``: maps a score to a log-likelihood ratio, or None. ``cohort``: (n, dim) rows of
    length one and the number of the highest scores that count, for AS-norm
    (``sv.scoring.score_norm.as_norm_pair``); or None: the score is the cosine.
    """

    def __init__(
        self,
        embedder: Embedder,
        sample_rate: int = 16000,
        calibration: model_dir.CosineCalibration | None = None,
        cohort: tuple[np.ndarray, int] | None = None,
    ):
        self.embedder = embedder
        self.sample_rate = sample_rate
        self.calibration = calibration
        self.cohort = cohort

    @classmethod
    def load(cls, path: str | Path) -> "SpeakerModel":
        """Read a model directory, or a file of weights such as ``final.pt`` (16 kHz assumed).

        Raises:
            InputError: ``path`` is neither of them, or is incomplete or damaged.
        """
        if Path(path).is_file():
            return cls(Embedder.load(path))
        files = model_dir.read(path)
        parts = {"encoder": files.weights, "model": files.model}
        try:
            parts["whitening"] = files.whitening
            heard = {"normalise": files.features.normalise, "preset": files.features.preset}
            embedder = Embedder(parts | heard)
        except InputError as error:
            raise InputError(f"{Path(path) / model_dir.CONFIG}: {error}") from None
        # Weights are missing or have other shapes, or no encoder can have these settings.
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{Path(path) / model_dir.WEIGHTS}: the weights do not fit the encoder in "
                f"{model_dir.CONFIG}: {' '.join(str(error).split())[:300]}"
            ) from None
        if files.calibration is not None and files.calibration.scale < 0:
            log.warning(
                "%s: the scale of its calibration is negative: a higher cosine counts as evidence "
                "for different speakers; fit it again, on trials whose labels are right",
                path,
            )
        cohort = files.cohort and (files.cohort["rows"].numpy(), int(files.cohort["top_n"]))
        return cls(embedder, files.features.sample_rate, files.calibration, cohort)

    @property
    def dim(self) -> int:
        """The length of an embedding."""
        return self.embedder.dim

    def embed(
        self,
        waveform: "np.ndarray | Tensor",
        sample_rate: int,
        name: str = "the waveform",
        channel: int | None = None,
        crops: "EvenCrops | None" = None,
    ) -> np.ndarray:
        """Return the embedding (dim,) float32 of one recording; with ``crops`` (crops, dim).

        Parameters
        ----------
        waveform: array or tensor, (samples,) or (channels, samples) or (samples, channels),
            floating point in [-1, 1] or int16. Channels are averaged unless ``channel`` chooses
            one, counted from 0.
        sample_rate: of the waveform, in Hz. If the model has another rate, the waveform is
            resampled.
        name: how messages call the recording.

        Raises:
            InputError: the waveform is shorter than ``MIN_SECONDS`` (0.1 s), digital silence, not
                finite, or of another scale, type or shape, or its channels cancel each other.
        """
        samples = _one_channel(waveform, name, channel)
        rate = SAMPLE_RATE.check(sample_rate, f"the sample rate of {name}")
        if rate != self.sample_rate and len(samples):
            samples = resample(samples, rate, self.sample_rate)
        preset = self.embedder.preset
        heard = samples[None] if crops is None else crops.cut(samples, self.sample_rate)
        if self.embedder.hears_waveforms:
            features = np.ascontiguousarray(heard, np.float32)
            silent = not np.ptp(features) > SILENCE / 32
        else:
            features = fbank(heard, self.sample_rate, self.embedder.mel_bins, preset)
            silent = not features.size or features.max() <= definition(preset).silence + SILENCE
        seconds = len(samples) / self.sample_rate
        if seconds < MIN_SECONDS or features.shape[1] < self.embedder.encoder.min_frames:
            raise InputError(
                f"{name}: {seconds:.2f} s are too short to hear a voice, which takes "
                f"{MIN_SECONDS:g} s at least; record a second or more"
            )
        if silent:
            raise InputError(f"{name}: digital silence; there is nobody to recognise")
        if seconds < SHORT_SECONDS:
            log.warning("%s: only %.2f s; trust its scores less", name, seconds)
        device = next(self.embedder.parameters()).device
        vectors = self.embedder(torch.from_numpy(features).to(device)).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise InputError(f"{name}: its embedding is not finite; the model is damaged")
        return vectors[0] if crops is None else vectors

    def embed_file(
        self, path: str | Path, channel: int | None = None, crops: "EvenCrops | None" = None
    ) -> np.ndarray:
        """Return the embedding of an audio file, as ``embed`` does, with the same errors."""
        samples = read_audio(path, self.sample_rate, channel)
        return self.embed(samples, self.sample_rate, shown(path), crops=crops)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of two embeddings (dim,), between -1 and 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _one_channel(
    waveform: "np.ndarray | Tensor", name: str, channel: int | None = None
) -> np.ndarray:
    """Return float32 (samples,); the full scale of 16 bits is 1.0."""
    if isinstance(waveform, torch.Tensor):
        waveform = waveform.detach().cpu()
        waveform = (waveform.float() if waveform.is_floating_point() else waveform).numpy()
    samples = np.asarray(waveform)
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.dtype != np.int16 and samples.dtype.kind != "f":
        raise InputError(
            f"{name} is of type {samples.dtype}: give floating point in [-1, 1], or int16"
        )
    if samples.ndim == 2 and np.argmin(samples.shape) == 0:
        samples = samples.T
    if samples.ndim not in (1, 2):
        raise InputError(
            f"{name} has the shape {samples.shape}: give one recording, (samples,) or "
            "(channels, samples)"
        )
    problem = not_audio(samples)
    if problem:
        remedy = ": divide by 32768, or give int16" if "scale" in problem else ""
        raise InputError(f"{name} {problem}{remedy}")
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32, copy=False)
    try:
        return np.ascontiguousarray(to_mono(samples, channel), dtype=np.float32)
    except AudioError as error:
        raise error.of(name) from None
