"""SDPN: students of short noisy crops predict to which prototypes a long clean crop belongs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import gather
from sv.encoders.heads import BottleneckHead
from sv.losses import (
    koleo_loss,
    mean_entropy_gap,
    prototype_logits,
    sharp_targets,
    target_cross_entropy,
)
from sv.methods.base import Facts, Stats, Views
from sv.methods.figures import output_use, pair_cosines
from sv.methods.taught import Taught, TaughtConfig


@dataclass
class SDPNConfig(TaughtConfig):
    """Chen et al. 2024 (arXiv 2308.02774), with the settings of the authors' code.

    Theirs cuts the four short crops out of two of 4 s; here they start anywhere.
    """

    name: str = option("sdpn", "the method")
    prototypes: int = option(
        1024,
        "K, number of directions to assign to. Too few tell only coarse groups apart; with too "
        "many for the batch, Sinkhorn's balance is arbitrary",
    )
    temperature: float = option(
        0.1, "τ of the assignments. If it is too high, they are uniform and nothing is learned"
    )
    sharpening: float = option(
        0.25,
        "exponent 1/T of the teacher's assignments. 1 leaves them as they are, and the student has "
        "nothing to gain; if it is too low, targets are certain without a reason",
    )
    iterations: int = option(3, "rounds of Sinkhorn's algorithm, which balances the targets")
    entropy_weight: float = option(
        1.0, "weight of the use of all prototypes; if it is too low, one may take all"
    )
    koleo_weight: float = option(
        0.1,
        "weight of the distance to the nearest embedding of the batch. If it is too high, "
        "utterances of one speaker are driven apart",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.prototypes < 2 or self.iterations < 1 or self.local_crops < 1:
            raise ValueError("prototypes of at least 2, iterations and local_crops of at least 1")
        if min(self.temperature, self.sharpening) <= 0:
            raise ValueError("temperature and sharpening must be above 0")
        if min(self.entropy_weight, self.koleo_weight) < 0:
            raise ValueError("entropy_weight and koleo_weight must not be negative")


class SDPN(Taught):
    """Student and teacher, and prototypes, which the student's gradient moves."""

    def __init__(self, encoder: nn.Module, config: SDPNConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.head = BottleneckHead([encoder.embedding_dim, *config.hidden, config.bottleneck])
        self.make_teacher()
        bound = config.bottleneck**-0.5
        prototypes = torch.empty(config.prototypes, config.bottleneck).uniform_(-bound, bound)
        self.prototypes = nn.Parameter(prototypes)

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return one long crop as recorded for the teacher, and short ones for the student."""
        c = self.config
        c.check_lengths(data)
        return [
            CropGroup("global", 1, c.global_seconds, augment=False),
            CropGroup("local", c.local_crops, data.crop_seconds),
        ]

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """The teacher's output for the long crop."""
        return (1, self.config.bottleneck)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        c = self.config
        positive = self.substitute(self.teach(views.crops["global"]), views)[:, 0]
        known = prototype_logits(positive, self.prototypes, c.temperature)
        how = {"sharpening": c.sharpening, "iterations": c.iterations}
        targets = sharp_targets(known, join=gather, **how)
        embeddings = self.encoder(views.crops["local"].flatten(0, 1))
        guess = prototype_logits(self.head(embeddings), self.prototypes, c.temperature)
        crops = embeddings.unflatten(0, (c.local_crops, -1))
        loss = target_cross_entropy(guess, targets)
        loss = loss + c.entropy_weight * mean_entropy_gap(gather(guess))
        loss = loss + c.koleo_weight * sum(koleo_loss(gather(crop)) for crop in crops)
        return loss, {
            **output_use(targets),
            **pair_cosines(*crops[[0, -1]]),
            "embeddings": embeddings.detach(),
        }
