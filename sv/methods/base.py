"""The interface between the training loop and a method: Method, and the batch it gets, Views."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup, DataConfig
from sv.crops.views import Batch
from sv.encoders.base import Encoder
from sv.methods.momentum import follow
from sv.sampling.ssps import SSPS

Stats = dict[str, Tensor | float]
"""Scalars to log, and under ``embeddings`` (N, D) what the watch over collapse looks at."""


@dataclass(frozen=True)
class Facts:
    """What a method may know of the training set when it is built.

    utterances: how many there are, for memories with an entry for each.
    speakers: how many there are, for classifiers; 0 where training has no labels.
    """

    utterances: int = 0
    speakers: int = 0


@dataclass(frozen=True)
class Moment:
    """Where training stands: ``epoch`` epochs (a fraction inside one) of ``epochs`` are done."""

    epoch: float = 0.0
    epochs: int = 1

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.epoch / max(1, self.epochs)


@dataclass
class Sources:
    """What the mixtures of a group of crops were made of.

    log_mel: (count, batch, n, frames, mel) of each source in its room, at its level, on the scale
        of the normalised mixture; source 0 is the target. A source that is not there is silent.
    items: (count, batch, n) position of the crop that each source is, -1 for none, in the joined
        batch of all processes.
    """

    log_mel: Tensor
    items: Tensor


@dataclass
class Views:
    """A batch as a method sees it: on the device, augmented and normalised.

    crops: name of a ``CropGroup`` → (count, batch, frames, mel).
    utterances: (batch,) or (count, batch) indices into the training set.
    labels: the speakers of ``utterances`` as numbers, in the same shape; None without labels.
    moment: where training stands.
    sources: name of a ``CropGroup`` that asks for them → what its mixtures were made of.
    """

    crops: dict[str, Tensor]
    utterances: Tensor
    labels: Tensor | None = None
    moment: Moment = field(default_factory=Moment)
    sources: dict[str, Sources] = field(default_factory=dict)

    @property
    def items(self) -> Tensor:
        """The utterance (batch,) of each item; of its first crop if they have several."""
        return self.utterances if self.utterances.ndim == 1 else self.utterances[0]

    @classmethod
    def of(
        cls,
        batch: Batch,
        front_end: FrontEnd,
        device: torch.device,
        *,
        labels: Tensor | None = None,
        moment: Moment | None = None,
    ) -> "Views":
        """Bring a batch to the device and make the network's input of it.

        labels: (N,) speaker of each utterance of the training set; None without labels.
        """
        crops, sources = {}, {}
        for name, group in batch.crops.items():
            if group.sources:
                crops[name], of_sources = front_end.mixtures(group, device)
                sources[name] = Sources(of_sources, group.items.to(device))
            else:
                crops[name] = front_end(group, device)
        speakers = None if labels is None else labels[batch.utterances].to(device)
        utterances = batch.utterances.to(device)
        return cls(crops, utterances, speakers, moment or Moment(), sources)


class MethodConfig:
    """Settings of a method. A subclass is a dataclass; it may make fields of these."""

    name: str

    projector: ClassVar[Sequence[int]] = ()
    """Sizes of the layers between embedding and loss."""

    drop_collisions: ClassVar[bool] = False
    """Whether utterances of the anchor's speaker are no negatives, which needs labels."""

    utterance_clusters: ClassVar[int] = 0
    """Clusters of the training set from whose utterances the crops of an item come; 0: none."""


class Method(nn.Module):
    """A framework: networks, and one step of training them.

    A subclass sets ``config``, is built as ``Method(encoder, config, facts)``, and everything that
    it must remember is a parameter, a buffer or ``get_extra_state``, so that resuming is exact.
    """

    needs_labels = False
    """Whether ``training_step`` wants ``views.labels``: true of supervised methods only."""

    def __init__(self, encoder: Encoder, config: MethodConfig):
        super().__init__()
        self.config = config
        self.encoder = encoder
        # Set by the training loop where positives come from other recordings.
        self.positives: SSPS | None = None

    @property
    def head_dim(self) -> int:
        """Size of what enters the loss: of the projector's last layer, or of an embedding."""
        return [self.encoder.embedding_dim, *self.config.projector][-1]

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of the positive of one item, as given to ``substitute``."""
        return (self.head_dim,)

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return the crops that a step needs: by default two random ones of each utterance."""
        return [CropGroup("views", 2, data.crop_seconds, apart=data.crops == "apart")]

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss of a batch and figures to log."""
        raise NotImplementedError

    def start_epoch(self, moment: Moment) -> Stats:
        """Do what an epoch begins with, such as clustering; return figures to log of it.

        Called before the first step of an epoch, and not again when training resumes inside it.
        """
        return {}

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return (follower, followed) networks: `after_step` moves the first to the second."""
        return []

    def momentum(self, moment: Moment) -> float:
        """Return the share of its weights that a follower keeps in a step."""
        return self.config.momentum

    def after_step(self, moment: Moment) -> None:
        """Do what follows an update of the weights: by default, move the momentum pairs.

        ``moment`` is that of the step: the same as in ``training_step``.
        """
        for target, source in self.momentum_pairs():
            follow(target, source, self.momentum(moment))

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return by name what changes with the share of training that is done, at ``moment``.

        A training that goes on from a base is refused if its plan would let one of them jump.
        """
        return {}

    @property
    def evaluated(self) -> nn.Module:
        """The network that is saved and tested: the encoder, or a teacher."""
        return self.encoder

    def substitute(self, positives: Tensor, views: Views) -> Tensor:
        """Return the positives (batch, *positive_shape), from other recordings where SSPS has any.

        A method calls this once a step, between what makes the positives and its loss.
        """
        if self.positives is None:
            return positives
        reference = self._reference(views.crops["reference"][0])
        return self.positives.substitute(positives, views.items, reference)

    @torch.no_grad()
    def _reference(self, crops: Tensor) -> Tensor:
        """Embed crops as in a test; batch norm neither uses nor learns what they are like."""
        network = self.evaluated
        training = network.training
        network.eval()
        embeddings = network(crops)
        network.train(training)
        return embeddings


def check_sizes(name: str, sizes: list[int]) -> None:
    """Raise ``ValueError`` if a layer of an MLP would be empty."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name}: sizes must be at least 1, not {sizes}")
