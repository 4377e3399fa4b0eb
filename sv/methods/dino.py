"""DINO: a student predicts what a teacher, its own moving average, outputs for other crops."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import all_reduce_mean, gather
from sv.encoders.heads import DinoHead
from sv.losses import dino_loss, sinkhorn, update_center, view_cross_entropy
from sv.methods.base import Facts, Moment, Stats, Views
from sv.methods.figures import output_use, pair_cosines
from sv.methods.taught import Taught, TaughtConfig


@dataclass
class DINOConfig(TaughtConfig):
    """Caron et al. 2021 (arXiv 2104.14294), with the defaults of arXiv 2505.14561 for speakers."""

    name: str = option("dino", "the method")
    global_crops: int = option(2, "number of long crops, which student and teacher see")
    outputs: int = option(
        65536,
        "K, number of directions of the last layer. Take far more than the training "
        "set has speakers; a small corpus learns sooner with 1024 to 4096. An "
        "untrained network has the loss ln K",
    )
    student_temp: float = option(0.1, "τ of the student's softmax")
    teacher_temp: float = option(
        0.04,
        "τ of the teacher's softmax, below the student's. If it is too high, "
        "outputs become uniform and the loss stays at ln K. If it is too low, "
        "targets are nearly one-hot from the start, and training is unstable",
    )
    teacher_temp_start: float = option(
        0.04, "τ of the teacher at the start of its warm-up; lower it if the loss does not fall"
    )
    teacher_temp_epochs: float = option(
        0.0, "number of epochs of warm-up from teacher_temp_start; 0: none"
    )
    centering: Literal["mean", "sinkhorn"] = option(
        "mean",
        "method that prevents one output from winning everywhere. mean: a centre is "
        "subtracted; sinkhorn: every output gets an equal share of each batch. "
        "Without either, training collapses",
    )
    center_momentum: float = option(
        0.9,
        "momentum of the centre. If it is too high, the centre follows the teacher "
        "too slowly, and outputs collapse",
    )
    frozen_epochs: float = option(
        1.0,
        "number of epochs in which the last layer does not learn. Take more if the "
        "loss rises at the start",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.outputs < 2:
            raise ValueError("outputs must be at least 2")
        if min(self.student_temp, self.teacher_temp, self.teacher_temp_start) <= 0:
            raise ValueError("student_temp, teacher_temp and teacher_temp_start must be above 0")
        if not 0 <= self.center_momentum <= 1:
            raise ValueError("center_momentum must be from 0 to 1")
        if self.global_crops < 1:
            raise ValueError("global_crops must be at least 1")
        if self.global_crops + self.local_crops < 2:
            raise ValueError("one crop has no other to learn from: set local_crops or global_crops")


class DINO(Taught):
    """Student and teacher, an encoder and a head each; the teacher is evaluated.

    The head processes long and short crops separately, so its batch norms measure each kind by
    itself, as in the code of the published rows. Long crops then have the same statistics as in the
    teacher, which computes the targets.
    """

    def __init__(self, encoder: nn.Module, config: DINOConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        sizes = [encoder.embedding_dim, *config.hidden, config.bottleneck]
        self.head = DinoHead(sizes, config.outputs)
        self.make_teacher()
        self.register_buffer("center", torch.zeros(1, config.outputs))

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return long crops for both networks and short crops for the student.

        Short crops have the length ``data.crop_seconds``, which all methods share; long crops have
        ``method.global_seconds``. Crops of different lengths are separate batches and are never
        padded.
        """
        c = self.config
        c.check_lengths(data)
        groups = [CropGroup("global", c.global_crops, c.global_seconds)]
        return groups + [CropGroup("local", c.local_crops, data.crop_seconds)] * (c.local_crops > 0)

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of the teacher's bottlenecks of all long crops.

        SSPS stores bottlenecks, not outputs. Outputs, 2 × 65,536 numbers, would take 13 GB for
        25,000 utterances. Bottlenecks take 51 MB, and the newest last layer is always applied.
        """
        return (self.config.global_crops, self.config.bottleneck)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log; then the centre moves."""
        c = self.config
        # An optimiser does not change a weight without gradient, not even by weight decay.
        self.head.last.requires_grad_(views.moment.epoch >= c.frozen_epochs)
        bottleneck = self.teach(views.crops["global"])
        bottleneck = self.substitute(bottleneck, views)
        positive = self.teacher_outputs(bottleneck)
        # Crops of one length are one batch, for the encoder and for the head, so that batch norms
        # measure long and short crops separately. Lengths are never padded.
        groups = [views.crops[name] for name in ("global", "local") if name in views.crops]
        embeddings = [self.encoder(crops.flatten(0, 1)) for crops in groups]
        student, regulariser = self.student_outputs(embeddings, views.moment)
        temperature = self.teacher_temperature(views.moment)
        if c.centering == "sinkhorn":
            targets = sinkhorn(positive, epsilon=temperature, join=gather)
            loss = view_cross_entropy(
                student, targets, temperature=c.student_temp, n_targets=c.global_crops
            )
        else:
            targets = ((positive - self.center) / temperature).softmax(dim=1)
            loss = dino_loss(
                student,
                positive,
                self.center,
                student_temp=c.student_temp,
                teacher_temp=temperature,
                n_global=c.global_crops,
            )
            mean = all_reduce_mean(positive.mean(dim=0, keepdim=True))
            self.center.copy_(update_center(self.center, mean, c.center_momentum))
        use = output_use(targets)
        first, second = embeddings[0].detach().unflatten(0, (c.global_crops, -1))[[0, -1]]
        return loss + regulariser, {
            "chance": math.log(c.outputs),
            "kl": loss.detach() - use["output_entropy"],
            **use,
            **pair_cosines(first, second),
            "embeddings": embeddings[0].detach(),
        }

    def student_outputs(
        self, embeddings: list[Tensor], moment: Moment
    ) -> tuple[Tensor, Tensor | float]:
        """Return logits (crops · batch, outputs), and what is added to the loss: nothing here.

        embeddings: (crops · batch, dim) of each group, that of the long crops first.
        """
        return torch.cat([self.head(part) for part in embeddings]), 0.0

    @torch.no_grad()
    def teacher_outputs(self, bottleneck: Tensor) -> Tensor:
        """Map (batch, count, bottleneck) to logits (count * batch, outputs), crop by crop."""
        return self.teacher_head.last(bottleneck.transpose(0, 1).flatten(0, 1)).float()

    def teacher_temperature(self, moment: Moment) -> float:
        """Return the teacher's τ, which changes linearly over the epochs of warm-up."""
        c = self.config
        if moment.epoch >= c.teacher_temp_epochs:
            return c.teacher_temp
        share = moment.epoch / c.teacher_temp_epochs
        return c.teacher_temp_start + share * (c.teacher_temp - c.teacher_temp_start)
