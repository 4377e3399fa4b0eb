"""Encoders: ``features (batch, frames, mel)`` to ``embeddings (batch, embedding_dim)``.

An encoder is one file with a config dataclass and a module; a line in ``ENCODERS`` makes it known.
Each has ``forward(features, lengths=None)``, ``embedding_dim`` and ``min_frames``.
"""

from torch import nn

from sv.errors import InputError
from sv.models.ecapa import EcapaConfig, EcapaTdnn
from sv.models.resnet import FastResNet34, FastResNet34Config
from sv.models.separative import SeparativeConfig, SeparativeEncoder
from sv.models.thin_resnet import ThinResNet34, ThinResNet34Config

ENCODERS: dict[str, tuple[type[nn.Module], type]] = {
    "ecapa": (EcapaTdnn, EcapaConfig),
    "fast_resnet34": (FastResNet34, FastResNet34Config),
    "thin_resnet34": (ThinResNet34, ThinResNet34Config),
    "separative": (SeparativeEncoder, SeparativeConfig),
}


def build_encoder(config: EcapaConfig | FastResNet34Config | SeparativeConfig) -> nn.Module:
    """Return the encoder that ``config`` describes, with fresh weights.

    Raises:
        InputError: ``config.name`` is not in ``ENCODERS``, or names another config's encoder.
    """
    if config.name not in ENCODERS:
        raise InputError(f"unknown encoder '{config.name}'; choose one of {', '.join(ENCODERS)}")
    encoder, config_type = ENCODERS[config.name]
    if not isinstance(config, config_type):
        raise InputError(
            f"encoder '{config.name}' needs the settings of {config_type.__name__}, "
            f"not {type(config).__name__}"
        )
    return encoder(config)


__all__ = [
    "ENCODERS",
    "EcapaConfig",
    "FastResNet34Config",
    "SeparativeConfig",
    "ThinResNet34Config",
    "build_encoder",
]
