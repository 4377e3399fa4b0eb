"""What every encoder is to the rest: its settings, and the network."""

from typing import ClassVar

from torch import Tensor, nn


class EncoderConfig:
    """Settings of an encoder. A subclass is a dataclass; it may make a field of ``sources``."""

    name: str
    mel_bins: int
    embedding_dim: int

    sources: ClassVar[int] = 1
    """Speakers that the encoder tells apart in a mixture."""


class Encoder(nn.Module):
    """A network that maps features to one embedding an utterance.

    A subclass is built as ``Encoder(config)`` and sets ``embedding_dim``.
    """

    embedding_dim: int

    min_frames = 1
    """Frames of the shortest input."""

    sources = 1
    """Speakers that it tells apart in a mixture."""

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map (batch, frames, mel) to (batch, embedding_dim), float32.

        lengths: (batch,) frames of each utterance, what follows them is padding; None: all frames.
        """
        raise NotImplementedError
