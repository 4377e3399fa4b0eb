"""A large pretrained network as front end: WavLM, wav2vec 2.0 or HuBERT, then MHFA or ECAPA-TDNN.

The encoder hears waveforms, not filterbanks (``model.mel_bins`` is 0). It is for fine-tuning on
pseudo-labels or with any method of ``data.domain: wave``. Sources: Chen et al., "WavLM", IEEE JSTSP
2022; Miara, Lepage and Dehak, "Towards supervised performance on speaker verification with
self-supervised learning by leveraging large-scale ASR models", Interspeech 2024 (WavLM with MHFA).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.encoders.base import Encoder, EncoderConfig, Tuning
from sv.encoders.ecapa import EcapaConfig, EcapaTdnn
from sv.encoders.pooling import weighted_sum
from sv.errors import InputError
from sv.files import digest

FULL_SCALE = 32768.0
SPREAD_FLOOR = 1e-5


@dataclass
class PretrainedConfig(EncoderConfig):
    """Settings of a pretrained front end and the network on top."""

    hears_waveforms: ClassVar[bool] = True

    name: str = option("pretrained", "this encoder's name in ENCODERS")
    folder: str = option(
        "",
        "folder with config.json and model.safetensors of a WavLM, wav2vec2 or HuBERT, in the "
        "format of Hugging Face. Copy it there yourself: nothing is downloaded",
    )
    mel_bins: int = option(0, "always 0: this encoder takes waveforms (data.domain: wave)")
    head: Literal["mhfa", "ecapa"] = option(
        "mhfa",
        "network on the layers of the front end. mhfa: small and fast, good for fine-tuning; "
        "ecapa: an ECAPA-TDNN on the weighted sum of layers, which suits a frozen front end",
    )
    heads: int = option(64, "for mhfa: number of heads; 32 to 64 are usual")
    compression: int = option(128, "for mhfa: width of keys and values")
    channels: int = option(512, "for ecapa: width of its blocks")
    embedding_dim: int = option(256, "length of the embedding")
    frozen: bool = option(
        False,
        "true: the front end keeps its weights, which takes a fraction of the memory and of the "
        "time; false: it is trained too, which gives lower errors if there are enough data",
    )
    rate: float = option(
        0.004,
        "learning rate of the front end divided by optim.lr. If it is too high, the front end "
        "forgets; published: 2e-5 for the front end and 5e-3 for the rest, which is 0.004",
    )
    pull: float = option(
        0.01,
        "weight of the squared distance of the front end's weights from the pretrained ones in "
        "the loss; it keeps a small training set from destroying them. Weight decay then acts on "
        "the other weights only. 0: no pull",
    )
    architecture: str = option(
        "", "leave it empty: it is read from model.folder, and a trained model keeps it"
    )

    def __post_init__(self) -> None:
        if self.mel_bins != 0:
            raise InputError(
                "encoder pretrained takes waveforms, so model.mel_bins is 0: leave it out, and "
                "--set data.domain=wave"
            )
        if not (0 <= self.rate <= 1 and self.pull >= 0):
            raise InputError("model.rate is from 0 to 1, and model.pull is not negative")
        if min(self.heads, self.compression, self.channels, self.embedding_dim) < 1:
            raise InputError("model.heads, compression, channels and embedding_dim are at least 1")
        if self.folder and not self.architecture:
            from sv.encoders import huggingface

            found = huggingface.read_architecture(self.folder)
            found["sha256"] = digest(Path(self.folder) / huggingface.WEIGHTS)
            self.architecture = json.dumps(found, sort_keys=True)

    def description(self) -> dict[str, Any]:
        """Return the architecture that ``huggingface.build`` needs."""
        if not self.architecture:
            raise InputError(
                "encoder pretrained needs a front end: --set model.folder=DIR, a folder with "
                "config.json and model.safetensors"
            )
        try:
            found = json.loads(self.architecture)
            return {**found, "conv_layers": [tuple(layer) for layer in found["conv_layers"]]}
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError("model.architecture is damaged: leave it out") from None


class PretrainedEncoder(Encoder):
    """The layers of the front end, a learned weighting of them, and MHFA or ECAPA-TDNN."""

    def __init__(self, config: PretrainedConfig):
        super().__init__()
        self.config, self.embedding_dim = config, config.embedding_dim
        self.description = config.description()
        self.sample_rate = self.description["sample_rate"]
        from sv.encoders import huggingface  # loaded with the first such encoder, not with sv.load
        from sv.encoders.mhfa import Mhfa

        self.front_end = huggingface.build(self.description)
        if config.frozen:
            self.front_end.requires_grad_(False)
        layers = self.description["num_hidden_layers"] + 1
        hidden = self.description["hidden_size"]
        if config.head == "mhfa":
            self.head: nn.Module = Mhfa(
                layers, hidden, config.heads, config.compression, config.embedding_dim
            )
        else:
            self.of_layers = nn.Parameter(torch.zeros(layers))
            self.head = EcapaTdnn(
                EcapaConfig(
                    mel_bins=hidden, channels=config.channels, embedding_dim=config.embedding_dim
                )
            )
        self.min_frames = 1
        for _, kernel, stride in reversed(self.description["conv_layers"]):
            self.min_frames = (self.min_frames - 1) * stride + kernel  # samples for one frame

    def begin(self) -> None:
        """Load the pretrained weights. Raises ``InputError`` if they are not those of before."""
        folder = self.config.folder
        if not folder:
            raise InputError("--set model.folder=DIR: the pretrained weights are needed to begin")
        from sv.encoders import huggingface

        path = Path(folder) / huggingface.WEIGHTS
        if not path.is_file():
            raise InputError(f"model.folder {folder} lacks {huggingface.WEIGHTS}; copy it there")
        huggingface.load_weights(self.front_end, folder, self.description)

    def tuning(self) -> Tuning | None:
        """Return how the weights of the front end are trained; None if they are frozen."""
        weights = [weight for weight in self.front_end.parameters() if weight.requires_grad]
        return Tuning(weights, self.config.rate, self.config.pull) if weights else None

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Set training or evaluation; a frozen front end stays in evaluation, without dropout."""
        super().train(mode)
        if self.config.frozen:
            self.front_end.eval()
        return self

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map waveforms (batch, samples) to embeddings (batch, embedding_dim), float32.

        Waveforms are int16, or floating point in [-1, 1]. ``lengths`` (batch,): samples of each;
        utterances of different lengths go through the network one by one, because its first norm
        and WavLM's attention have no mask, and padding would change the embedding.
        """
        if features.ndim != 2:
            raise ValueError(f"the encoder takes waveforms (batch, samples), not {features.shape}")
        if lengths is not None and bool((lengths != features.shape[1]).any()):
            rows = zip(features.split(1), lengths.tolist(), strict=True)
            return torch.cat([self(row[:, : int(length)]) for row, length in rows])
        layers = self._layers(self._scaled(features))
        if self.config.head == "mhfa":
            return self.head(layers)
        mixed = weighted_sum(layers, self.of_layers).float()
        deviation = mixed.var(dim=1, keepdim=True, correction=0).add(SPREAD_FLOOR).sqrt()
        return self.head((mixed - mixed.mean(dim=1, keepdim=True)) / deviation)

    def _layers(self, waveforms: Tensor) -> Tensor:
        from sv.encoders.huggingface import all_layers

        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            return all_layers(self.front_end, waveforms)

    def _scaled(self, waveforms: Tensor) -> Tensor:
        """Return float32; mean 0 and variance 1 if the front end was pretrained on such input."""
        if not waveforms.is_floating_point():
            waveforms = waveforms.float() / FULL_SCALE
        waveforms = waveforms.float()
        if not self.description["normalise"]:
            return waveforms
        centred = waveforms - waveforms.mean(dim=1, keepdim=True)
        return centred / centred.square().mean(dim=1, keepdim=True).add(1e-7).sqrt()
