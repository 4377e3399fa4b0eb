"""A trained encoder with the normalisation of its features."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sv import checkpoint
from sv.encoders import ENCODERS, build_encoder, check_variant
from sv.errors import InputError
from sv.features.normalise import normalise
from sv.features.presets import definition

if TYPE_CHECKING:
    from sv.crops.index import TrainingIndex


class Embedder(nn.Module):
    """An encoder with the feature normalisation that it was trained with.

    Always in eval mode and float32: an utterance alone and in a batch of longer ones gives the
    same embedding.
    """

    def __init__(self, model: dict):
        super().__init__()
        self.settings = settings = model["model"]
        _, kind = ENCODERS[settings["name"]]
        config = kind(**settings)
        check_variant(config, model["encoder"])
        with torch.device("meta"):  # settings of a damaged file may ask for any amount of memory
            build_encoder(config).load_state_dict(model["encoder"], assign=True)
        self.encoder = build_encoder(config)
        self.encoder.load_state_dict(model["encoder"])
        self.normalise = model["normalise"]
        self.mel_bins = settings["mel_bins"]
        self.preset = model.get("preset", "kaldi")  # files that say nothing are older than it
        definition(self.preset)  # refuses other names
        self.eval()

    @classmethod
    def load(cls, path: str | Path) -> "Embedder":
        """Read a model file: ``final.pt`` or ``checkpoints/epoch_0012.pt``."""
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
                f"{path}: its weights do not fit its settings, or are of another version: "
                f"{' '.join(str(error).split())[:300]}"
            ) from None

    def require_features(self, index: "TrainingIndex") -> None:
        """Raise ``InputError`` unless these features are of the kind that it was trained on."""
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
        """Map log-mel (batch, frames, mel) of ``lengths`` (batch,) frames to (batch, dim)."""
        return self.encoder(normalise(features, self.normalise, lengths), lengths)
