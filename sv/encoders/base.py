"""The base classes of all encoders: EncoderConfig, the settings, and Encoder, the network."""

from typing import ClassVar

from torch import Tensor, nn


class EncoderConfig:
    """Settings of an encoder. A subclass is a dataclass and may declare ``sources`` as a field."""

    name: str
    mel_bins: int
    embedding_dim: int

    sources: ClassVar[int] = 1
    """Number of speakers that the encoder separates in a mixture."""


class Encoder(nn.Module):
    """A network that maps the features of each utterance to one embedding.

    A subclass is built as ``Encoder(config)`` and sets ``embedding_dim``.
    """

    embedding_dim: int

    min_frames = 1
    """Number of frames of the shortest input."""

    sources = 1
    """Number of speakers that the encoder separates in a mixture."""

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map (batch, frames, mel) to (batch, embedding_dim), float32.

        lengths: (batch,) number of frames of each utterance; later frames are padding. None: no
            padding.
        """
        raise NotImplementedError
