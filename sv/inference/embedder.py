"""A trained encoder with the normalisation of its features."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sv import checkpoint
from sv.encoders import ENCODERS, build_encoder, check_variant
from sv.encoders.base import shapes_only
from sv.errors import InputError
from sv.features.normalise import normalise
from sv.features.presets import definition
from sv.inference.long import Tick, encode_long, is_long

if TYPE_CHECKING:
    from sv.crops.index import TrainingIndex


FULL_SCALE = 32768.0
"""Of waveforms that are kept in 16 bits."""


class Whitener(nn.Module):
    """Whitening of embeddings, x -> (x - mean) projection, as ``sv.bin.whiten`` learned it.

    mean: (d,). projection: (d, k). Raises ``ValueError`` for other shapes.
    """

    def __init__(self, mean: Tensor, projection: Tensor):
        super().__init__()
        if projection.ndim != 2 or mean.shape != projection.shape[:1]:
            raise ValueError(f"whitening: shapes {tuple(mean.shape)}, {tuple(projection.shape)}")
        self.register_buffer("mean", mean.float())
        self.register_buffer("projection", projection.float())
        self.dim = projection.shape[1]

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (batch, d) to (batch, k), float32."""
        return (vectors.float() - self.mean) @ self.projection


class Embedder(nn.Module):
    """An encoder with the feature normalisation that it was trained with.

    It is always in evaluation mode, and in float32 unless ``dtype`` is set. An utterance has the
    same embedding alone and in a batch of longer utterances.
    """

    def __init__(self, model: dict):
        super().__init__()
        self.settings = settings = model["model"]
        _, kind = ENCODERS[settings["name"]]
        config = kind(**settings)
        check_variant(config, model["encoder"])
        with shapes_only():  # the settings of a damaged file may ask for too much memory
            build_encoder(config).load_state_dict(model["encoder"], assign=True)
        self.encoder = build_encoder(config)
        self.encoder.load_state_dict(model["encoder"])
        self.normalise = model["normalise"]
        self.mel_bins, self.hears_waveforms = settings["mel_bins"], config.hears_waveforms
        self.preset = model.get("preset", "kaldi")  # older files do not name their preset
        definition(self.preset)  # raises if the name is unknown
        self.dtype: torch.dtype | None = None
        """For autocast; None: float32. ``sv.inference.parity`` sets it after a check."""
        self.whitening = Whitener(**model["whitening"]) if model.get("whitening") else None
        self.dim = self.encoder.embedding_dim if self.whitening is None else self.whitening.dim
        self.eval()

    @classmethod
    def load(cls, path: str | Path) -> "Embedder":
        """Read a model file: ``final.pt`` or ``checkpoints/epoch_0012.pt``.

        Raises:
            InputError: the file is missing, damaged, or not a model.
        """
        model = checkpoint.load(path)
        if not isinstance(model, dict) or not {"encoder", "model", "normalise"} <= model.keys():
            raise InputError(
                f"{path} is not a model: give final.pt or a checkpoints/epoch_NNNN.pt (last.pt is "
                "the state of a training)"
            )
        try:
            return cls(model)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path}: the weights do not fit the settings, or are of another version: "
                f"{' '.join(str(error).split())[:300]}"
            ) from None

    def require_features(self, index: "TrainingIndex") -> None:
        """Raise ``InputError`` unless the features are of the same kind as in training."""
        if self.hears_waveforms != (index.mel_bins is None):
            raise InputError("the model takes waveforms: run stage 1 with --wave true")
        if self.hears_waveforms:
            if index.sample_rate != self.encoder.sample_rate:
                raise InputError(
                    f"the model takes audio at {self.encoder.sample_rate} Hz, and the waveforms "
                    f"are at {index.sample_rate} Hz: resample the corpus, and run stage 1 again"
                )
            return
        if self.mel_bins != index.mel_bins:
            raise InputError(
                f"the model was trained on {self.mel_bins} mel bands, the features have "
                f"{index.mel_bins}: extract them again with the settings of the training"
            )
        if self.preset != index.preset:
            raise InputError(
                f"the model was trained on features of the preset {self.preset}, and these are of "
                f"{index.preset}: run stage 1 again with --preset {self.preset}"
            )

    @torch.inference_mode()
    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map log-mel (batch, frames, mel) to (batch, dim); lengths: (batch,) real frames.

        If ``hears_waveforms``, features are waveforms (batch, samples), and lengths count samples.
        """
        if is_long(features.shape[1], self.encoder.sample_rate):
            return self._with_long_ones(features, lengths)
        if not self.hears_waveforms:
            features = normalise(features, self.normalise, lengths)
        with self._arithmetic(features.device):
            vectors = self.encoder(features, lengths)
        return vectors if self.whitening is None else self.whitening(vectors)

    @torch.inference_mode()
    def embed_long(self, features: Tensor, tick: Tick = lambda share: None) -> Tensor:
        """Map one recording (frames, mel), or (samples,), to (1, dim) in bounded memory.

        See ``sv.inference.long``. The features may stay on the CPU.
        """
        kind = "none" if self.hears_waveforms else self.normalise
        if not features.is_floating_point():  # waveforms of an ark: 16 bits
            features = features.float() / FULL_SCALE
        with self._arithmetic(next(self.parameters()).device):
            vectors = encode_long(self.encoder, features, kind, tick)
        return vectors if self.whitening is None else self.whitening(vectors)

    def _with_long_ones(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        """Embed long recordings one by one, and the others of the batch together."""
        counts = [features.shape[1]] * len(features) if lengths is None else lengths.tolist()
        vectors = features.new_empty(len(features), self.dim, dtype=torch.float32)
        short = [
            n for n, count in enumerate(counts) if not is_long(count, self.encoder.sample_rate)
        ]
        for row in sorted(set(range(len(counts))) - set(short)):
            vectors[row] = self.embed_long(features[row, : counts[row]])[0]
        if short:
            longest = max(counts[row] for row in short)
            rest = torch.tensor([counts[row] for row in short], device=features.device)
            vectors[short] = self(features[short, :longest], rest)
        return vectors

    def _arithmetic(self, device: torch.device):
        return torch.autocast(device.type, self.dtype, enabled=self.dtype is not None)
