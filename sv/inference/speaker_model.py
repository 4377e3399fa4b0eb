"""A trained model: from audio to embeddings, scores and probabilities.

model = sv.load("exp/simclr/model")
vector = model.embed(waveform, sample_rate)       # (dim,) float32
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from sv.audio.channel_choice import to_mono
from sv.errors import AudioError, InputError
from sv.features import fbank
from sv.features.fbank_stream import fbank_of_blocks
from sv.features.framing import num_frames
from sv.features.presets import definition
from sv.files import digest, shown
from sv.inference import model_dir
from sv.inference.embedder import Embedder
from sv.inference.long import Tick, is_long
from sv.numbers import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

    from sv.inference.crops import EvenCrops

# The readers of audio files are imported when a file is read: `sv.load` needs none of them.

log = logging.getLogger(__name__)

SHORT_SECONDS = 1.0
"""If a recording is shorter, its embedding says little about the speaker; there is a warning."""
MIN_SECONDS = 0.1
"""A shorter recording has not even a vowel, and subtracting the mean over time leaves little."""
SILENCE = 1e-3
"""If no log mel energy exceeds that of silence by more than this, the recording is silent."""


class Heard(NamedTuple):
    """What a recording gives: its embedding (dim,), its seconds, and its seconds of speech."""

    vector: np.ndarray
    seconds: float
    speech: float


class SpeakerModel:
    """An encoder with its features and, if it has one, its calibration.

    ``embedder``: maps log mel features to vectors. ``sample_rate``: of its audio, in Hz.
    ``calibration``: maps a score to a log-likelihood ratio, or None. ``identity``: the hash of the
    weights: models of one identity give the same embeddings. ``cohort``: (n, dim) rows of length
    one and the number of the highest scores that count, for AS-norm
    (``sv.scoring.score_norm.as_norm_pair``); or None: the score is the cosine.
    """

    def __init__(
        self,
        embedder: Embedder,
        sample_rate: int = 16000,
        calibration: model_dir.CosineCalibration | None = None,
        identity: str = "",
        cohort: tuple[np.ndarray, int] | None = None,
    ):
        self.embedder = embedder
        self.sample_rate = sample_rate
        self.calibration = calibration
        self.identity = identity
        self.cohort = cohort

    @classmethod
    def load(cls, path: str | Path) -> "SpeakerModel":
        """Read a model directory, or a file of weights such as ``final.pt`` (16 kHz assumed).

        Raises:
            InputError: ``path`` is neither of them, or is incomplete or damaged.
        """
        if Path(path).is_file():
            return cls(Embedder.load(path), identity=digest(path))
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
        rate, calibration = files.features.sample_rate, files.calibration
        return cls(embedder, rate, calibration, files.sha256, cohort)

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
        tick: Tick = lambda share: None,
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
        tick: is called with the share of the work that is done, for recordings over two minutes,
            which are embedded in blocks (``sv.inference.long``).

        Raises:
            InputError: the waveform is shorter than ``MIN_SECONDS`` (0.1 s), digital silence, not
                finite, or of another scale, type or shape, or its channels cancel each other.
        """
        samples = _one_channel(waveform, name, channel)
        rate = SAMPLE_RATE.check(sample_rate, f"the sample rate of {name}")
        if rate != self.sample_rate and len(samples):
            from sv.audio.files import resample

            samples = resample(samples, rate, self.sample_rate)
        if crops is None:
            return self._embed_pieces([samples], len(samples), name, tick)
        features = self._features(crops.cut(samples, self.sample_rate))
        self._check(features.flatten(0, 1), len(samples), name)
        return self._finite(self.embedder(features.to(self.device)), name)

    def embed_file(
        self,
        path: str | Path,
        channel: int | None = None,
        crops: "EvenCrops | None" = None,
        tick: Tick = lambda share: None,
    ) -> np.ndarray:
        """Return the embedding of an audio file, as ``embed`` does, with the same errors.

        A long file is read block by block, so memory does not grow with its samples.
        """
        from sv.audio.files import audio_info, read_audio

        info = audio_info(path)
        if crops is None and is_long(info[2], info[0]):
            from sv.audio.streaming import stream_audio

            pieces = stream_audio(path, self.sample_rate, channel)
            return self._embed_pieces(pieces, self._expected(info), shown(path), tick)
        samples = read_audio(path, self.sample_rate, channel)
        return self.embed(samples, self.sample_rate, shown(path), crops=crops, tick=tick)

    def listen(
        self,
        path: str | Path,
        channel: int | None = None,
        needed: float = 0.5,
        tick: Tick = lambda share: None,
    ) -> "Heard":
        """Return the embedding of an audio file, and how much speech it has.

        Raises:
            InputError: as ``embed_file``; or there are less than ``needed`` seconds of speech.
        """
        from sv.audio.files import audio_info
        from sv.audio.streaming import stream_audio
        from sv.inference.speech import SpeechMeter

        expected = self._expected(audio_info(path))

        meter = SpeechMeter(self.sample_rate)
        pieces = meter.passing(stream_audio(path, self.sample_rate, channel))
        enough = partial(meter.require, shown(path), needed)
        vector = self._embed_pieces(pieces, expected, shown(path), tick, enough)
        return Heard(vector, meter.samples / self.sample_rate, meter.seconds)

    @property
    def device(self) -> torch.device:
        """The device of the encoder."""
        return next(self.embedder.parameters()).device

    def _embed_pieces(
        self,
        pieces: Iterable[np.ndarray],
        expected: int,
        name: str,
        tick: Tick,
        check: Callable[[], None] = lambda: None,
    ) -> np.ndarray:
        """Embed the recording that ``pieces`` (samples,) are, at the rate of the model.

        expected: samples of all pieces, or a little more.
        check: is called when all has been read, and before anything is encoded.
        """
        count = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal count
            for piece in pieces:
                count += len(piece)
                yield piece

        if self.embedder.hears_waveforms:
            features = _gathered(counted(), (expected,))
        else:
            form = self.sample_rate, self.embedder.mel_bins, self.embedder.preset
            frames = num_frames(expected, self.sample_rate, self.embedder.preset)
            features = _gathered(fbank_of_blocks(counted(), *form), (frames, form[1]))
        self._check(features, count, name)
        check()
        if is_long(len(features), self.embedder.encoder.sample_rate):
            vectors = self.embedder.embed_long(features, tick)
        else:
            vectors = self.embedder(features[None].to(self.device))
            tick(1.0)
        return self._finite(vectors, name)[0]

    def _features(self, waveforms: np.ndarray) -> "Tensor":
        """Return what the encoder hears of waveforms (n, samples)."""
        if self.embedder.hears_waveforms:
            return torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))
        return torch.from_numpy(
            fbank(waveforms, self.sample_rate, self.embedder.mel_bins, self.embedder.preset)
        )

    def _expected(self, info: tuple[int, int, int]) -> int:
        """Return the samples of a file at the rate of the model, or one more."""
        rate, _, samples = info
        return -(-samples * self.sample_rate // rate)

    def _check(self, features: "Tensor", samples: int, name: str) -> None:
        """Raise ``InputError`` if a recording is too short or silent; warn if it is short."""
        seconds = samples / self.sample_rate
        if seconds < MIN_SECONDS or len(features) < self.embedder.encoder.min_frames:
            raise InputError(
                f"{name}: {seconds:.2f} s are too short to hear a voice, which takes "
                f"{MIN_SECONDS:g} s at least; record a second or more"
            )
        if self.embedder.hears_waveforms:
            silent = not float(features.max() - features.min()) > SILENCE / 32
        else:
            floor = definition(self.embedder.preset).silence
            silent = not features.numel() or float(features.max()) <= floor + SILENCE
        if silent:
            raise InputError(f"{name}: digital silence; there is nobody to recognise")
        if seconds < SHORT_SECONDS:
            log.warning("%s: only %.2f s; trust its scores less", name, seconds)

    def _finite(self, vectors: "Tensor", name: str) -> np.ndarray:
        found = vectors.cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(f"{name}: its embedding is not finite; the model is damaged")
        return found


def _gathered(pieces: Iterable[np.ndarray], shape: tuple[int, ...]) -> "Tensor":
    """Return the joined pieces (n, ...), float32, of which ``shape`` is the expected shape.

    They are copied to their place one by one: a list of all of them would take twice the memory.
    """
    joined, done = np.empty(shape, np.float32), 0
    for piece in pieces:
        if done + len(piece) > len(joined):
            joined = np.concatenate((joined[:done], np.empty_like(piece, np.float32)))
        joined[done : done + len(piece)] = piece
        done += len(piece)
    return torch.from_numpy(joined[:done])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of two embeddings (dim,), between -1 and 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _one_channel(
    waveform: "np.ndarray | Tensor", name: str, channel: int | None = None
) -> np.ndarray:
    """Return float32 (samples,); the full scale of 16 bits is 1.0."""
    from sv.audio.files import not_audio

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
