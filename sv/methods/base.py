"""The interface between the training loop and a method: Method, and the batch it gets, Views."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup, DataConfig
from sv.crops.views import Batch
from sv.encoders.base import Encoder
from sv.methods.momentum import follow
from sv.sampling.ssps import SSPS

Stats = dict[str, Tensor | float]
"""Scalars to log, and ``embeddings`` (N, D), which the check for collapse needs."""


@dataclass(frozen=True)
class Facts:
    """What a method may know about the training set when it is built.

    utterances: number of utterances, for memories with an entry for each.
    speakers: number of speakers, for classifiers; 0 if training has no labels.
    """

    utterances: int = 0
    speakers: int = 0


@dataclass(frozen=True)
class Moment:
    """A moment of training: ``epoch`` of ``epochs`` epochs are done; inside one, a fraction."""

    epoch: float = 0.0
    epochs: int = 1

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.epoch / max(1, self.epochs)


@dataclass
class Sources:
    """The sources of the mixtures in a group of crops.

    log_mel: (count, batch, n, frames, mel) of each source in its room, at its level, on the scale
        of the normalised mixture. Source 0 is the target. An absent source is silent.
    items: (count, batch, n) position of each source's crop in the joined batch of all processes;
        -1 for an absent source.
    """

    log_mel: Tensor
    items: Tensor


@dataclass
class Views:
    """A batch as a method sees it: on the device, augmented and normalised.

    crops: name of a ``CropGroup`` → (count, batch, frames, mel).
    utterances: (batch,) or (count, batch) indices into the training set.
    labels: the speakers of ``utterances`` as numbers, in the same shape; None without labels.
    moment: the moment of training.
    sources: name of a ``CropGroup`` that asks for sources → the sources of its mixtures.
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
        """Move a batch to the device and turn it into the network's input.

        labels: (N,) speaker of each utterance of the training set, best on the device; None without
            labels.
        """
        crops, sources = {}, {}
        for name, group in batch.crops.items():
            if group.sources:
                crops[name], of_sources = front_end.mixtures(group, device)
                sources[name] = Sources(of_sources, group.items.to(device, non_blocking=True))
            else:
                crops[name] = front_end(group, device)
        utterances = batch.utterances.to(device, non_blocking=True)
        speakers = None if labels is None else labels.to(device)[utterances]
        return cls(crops, utterances, speakers, moment or Moment(), sources)


class MethodConfig:
    """Settings of a method. A subclass is a dataclass and may declare these as fields."""

    name: str

    projector: ClassVar[Sequence[int]] = ()
    """Sizes of the layers between embedding and loss."""

    drop_collisions: ClassVar[bool] = False
    """Whether utterances of the anchor's speaker are excluded as negatives; needs labels."""

    utterance_clusters: ClassVar[int] = 0
    """Clusters of the training set from whose utterances the crops of an item come; 0: none."""


class Method(nn.Module):
    """A training method: its networks, and one step of training.

    A subclass is built as ``Method(encoder, config, facts)``. All that it remembers must be a
    parameter, a buffer or in ``get_extra_state``, so that resuming is exact.
    """

    needs_labels = False
    """Whether ``training_step`` uses ``views.labels``: true for supervised methods only."""

    accumulation: Literal["plain", "cached", "none"] = "cached"
    """How ``train.accumulate`` works (`sv.training.gradients`). plain: the loss is a mean over
    items that need no others, and a step changes no memory; cached: any other method that takes
    only embeddings from ``self.encoder``; none: the method takes more from it, such as masks."""

    labels_are = "speakers"
    """What labels are: true speakers, in batches of two utterances of each, or ``clusters`` of the
    utterances (pseudo-labels), in batches of random utterances."""

    def __init__(self, encoder: Encoder, config: MethodConfig):
        super().__init__()
        self.config = config
        self.encoder = encoder
        # The training loop sets it if positives come from other recordings.
        self.positives: SSPS | None = None

    @property
    def head_dim(self) -> int:
        """Size of the loss's input: the projector's last layer, or the embedding without one."""
        return [self.encoder.embedding_dim, *self.config.projector][-1]

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of the positive of one item, as given to ``substitute``."""
        return (self.head_dim,)

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return the crops that a step needs: by default two random crops of each utterance."""
        return [CropGroup("views", 2, data.crop_seconds, apart=data.crops == "apart")]

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss of a batch, a scalar, and figures to log."""
        raise NotImplementedError

    def start_epoch(self, moment: Moment) -> Stats:
        """Prepare an epoch, for example by clustering; return figures to log.

        It is called before the first step of an epoch. If training resumes inside an epoch, it is
        not called again.
        """
        return {}

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return (follower, followed) networks; `after_step` moves the first towards the second."""
        return []

    def momentum(self, moment: Moment) -> float:
        """Return the share of its weights that a follower keeps in a step."""
        return self.config.momentum

    def after_step(self, moment: Moment) -> None:
        """Act after an update of the weights: by default, move the momentum pairs.

        ``moment`` is the moment of the step, the same as in ``training_step``.
        """
        for target, source in self.momentum_pairs():
            follow(target, source, self.momentum(moment))

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return, by name, the values at ``moment`` of all schedules of this method.

        A training that goes on from a base is refused if one of these values would jump.
        """
        return {}

    @property
    def evaluated(self) -> nn.Module:
        """The network that is saved and tested: the encoder, or a teacher."""
        return self.encoder

    def substitute(self, positives: Tensor, views: Views) -> Tensor:
        """Replace positives (batch, *positive_shape) by those of other recordings that SSPS finds.

        Without SSPS, the positives are returned unchanged. A method calls this once in a step,
        after it has computed the positives and before its loss.
        """
        if self.positives is None:
            return positives
        reference = self._reference(views.crops["reference"][0])
        return self.positives.substitute(positives, views.items, reference)

    @torch.no_grad()
    def _reference(self, crops: Tensor) -> Tensor:
        """Embed crops in evaluation mode: batch norms neither use nor learn their statistics."""
        network = self.evaluated
        training = network.training
        network.eval()
        embeddings = network(crops)
        network.train(training)
        return embeddings


def check_sizes(name: str, sizes: list[int]) -> None:
    """Raise ``ValueError`` if one of the ``sizes`` of an MLP is below 1."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name}: sizes must be at least 1, not {sizes}")
