"""Encoders: ``features (batch, frames, mel)`` to ``embeddings (batch, embedding_dim)``.

An encoder is one file with a config dataclass and a module. A line in ``ENCODERS`` registers both.
Each has a base class in `sv.encoders.base`. The base class lists all that other packages use.
"""

from collections.abc import Iterable

from sv.encoders.base import Encoder, EncoderConfig
from sv.encoders.ecapa import EcapaConfig, EcapaTdnn
from sv.encoders.pretrained import PretrainedConfig, PretrainedEncoder
from sv.encoders.resnet import FastResNet34, FastResNet34Config, ThinResNet34, ThinResNet34Config
from sv.encoders.resnet_2023 import ResNet34Of2023, ResNet34Of2023Config
from sv.encoders.separative import SeparativeConfig, SeparativeEncoder
from sv.errors import InputError

ENCODERS: dict[str, tuple[type[Encoder], type[EncoderConfig]]] = {
    "ecapa": (EcapaTdnn, EcapaConfig),
    "fast_resnet34": (FastResNet34, FastResNet34Config),
    "thin_resnet34": (ThinResNet34, ThinResNet34Config),
    "resnet34_2023": (ResNet34Of2023, ResNet34Of2023Config),
    "separative": (SeparativeEncoder, SeparativeConfig),
    "pretrained": (PretrainedEncoder, PretrainedConfig),
}


def build_encoder(config: EncoderConfig) -> Encoder:
    """Return the encoder that ``config`` describes, with fresh weights.

    Raises:
        InputError: ``config.name`` is not in ``ENCODERS``, or ``config`` is of another encoder.
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


def check_variant(config: object, weights: Iterable[str]) -> None:
    """Check by the names of ``weights`` that they fit the variant that ``config`` asks for.

    Raises:
        InputError: the weights are of another variant; the message names the variant.
    """
    if isinstance(config, EcapaConfig):
        found = "speechbrain" if "aggregate.norm.weight" in weights else "paper"
        if config.variant != found:
            raise InputError(
                f"model.variant is {config.variant}, but the weights are of an ecapa of variant "
                f"{found}: set model.variant: {found}, or use weights of variant {config.variant}"
            )


__all__ = [
    "ENCODERS",
    "EcapaConfig",
    "Encoder",
    "EncoderConfig",
    "FastResNet34Config",
    "PretrainedConfig",
    "ResNet34Of2023Config",
    "SeparativeConfig",
    "ThinResNet34Config",
    "build_encoder",
    "check_variant",
]
