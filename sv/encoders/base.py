"""The base classes of all encoders: EncoderConfig, the settings, and Encoder, the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sv.encoders.blocks import Block


class Tuning(NamedTuple):
    """Weights that are trained more slowly: ``rate`` is a factor of the learning rate.

    pull: weight of their squared distance from their first values in the loss.
    """

    weights: list[nn.Parameter]
    rate: float
    pull: float


class EncoderConfig:
    """Settings of an encoder. A subclass is a dataclass and may declare ``sources`` as a field."""

    name: str
    mel_bins: int
    embedding_dim: int

    sources: ClassVar[int] = 1
    """Number of speakers that the encoder separates in a mixture."""

    hears_waveforms: ClassVar[bool] = False
    """Whether the input is waveforms (batch, samples); ``mel_bins`` is then 0."""


class Encoder(nn.Module):
    """A network that maps the features of each utterance to one embedding.

    A subclass is built as ``Encoder(config)`` and sets ``embedding_dim``.
    """

    embedding_dim: int

    min_frames = 1
    """Number of frames of the shortest input; of samples if the input is waveforms."""

    reach: int | None = None
    """Frames to each side that convolutions see. None: attention or recurrence sees all frames, so
    a long recording is cut into parts (``sv.inference.long``)."""

    hop = 1
    """Frames between two frames of the last layer: a block starts at a multiple of it."""

    sample_rate: int | None = None
    """Of the waveforms that are the input, in Hz; None for features."""

    sources = 1
    """Number of speakers that the encoder separates in a mixture."""

    def begin(self) -> None:
        """Load weights from which training begins; most encoders begin with random ones."""

    def tuning(self) -> Tuning | None:
        """Return the weights that are trained more slowly than the others, or None."""
        return None

    def forward(self, features: Tensor, lengths: Tensor | Block | None = None) -> Tensor:
        """Map (batch, frames, mel) to (batch, embedding_dim), float32.

        lengths: (batch,) number of frames of each utterance; later frames are padding. None: no
            padding. A ``Block``: the features are a part of a long recording; only encoders that
            have a ``reach`` get one.
        """
        raise NotImplementedError


class _NoDraws(TorchFunctionMode):
    """Leave out normal draws.

    A tensor without values gets none anyway, and for them torch imports its compiler: a second and
    a half at the start of every program that loads a model.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call ``function``, unless it draws."""
        if function is torch.Tensor.normal_:
            return args[0]
        return function(*args, **(kwargs or {}))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Make the modules and tensors of this block on torch's "meta" device: they take no memory."""
    with torch.device("meta"), _NoDraws():
        yield
