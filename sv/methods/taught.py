"""The common part of methods with a teacher: an encoder and a head that follow the student's."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import DataConfig
from sv.errors import InputError
from sv.methods.base import Method, MethodConfig, Moment, check_sizes
from sv.methods.momentum import RisingMomentum, follow, follower


@dataclass
class TaughtConfig(MethodConfig):
    """Crops, head and teacher."""

    name: str = option("", "the method")
    global_seconds: float = option(
        4.0,
        "length of a long crop; data.crop_seconds is the length of the short ones. "
        "A longer crop gives a better teacher",
    )
    local_crops: int = option(
        4,
        "number of short crops, which only the student sees. With more, a step "
        "teaches more and takes more time",
    )
    hidden: list[int] = option(
        [2048, 2048],
        "sizes of the head between embedding and bottleneck; batch norm and GELU follow each layer",
    )
    bottleneck: int = option(256, "length of the unit vector before the last layer")
    momentum: float = option(
        0.996,
        "momentum of the teacher at the start; it rises to 1 along a cosine. If it "
        "is too low, student and teacher follow each other and collapse. If it is "
        "too high, the teacher stays untrained; a short training needs 0.99 or less",
    )
    teacher_statistics: Literal["batch", "running"] = option(
        "batch",
        "statistics that the teacher's batch norms use for its targets: batch, "
        "those of its crops; running, averages. References and tests always use the "
        "averages",
    )

    def __post_init__(self):
        check_sizes("hidden", self.hidden)
        if self.bottleneck < 1:
            raise ValueError("bottleneck must be at least 1")
        if not 0 <= self.momentum <= 1:
            raise ValueError("momentum must be from 0 to 1")
        if self.local_crops < 0:
            raise ValueError("local_crops must not be negative")

    def check_lengths(self, data: DataConfig) -> None:
        """Raise ``InputError`` if the teacher's crops would be shorter than the student's."""
        if self.global_seconds < data.crop_seconds:
            raise InputError(
                f"method.global_seconds is {self.global_seconds}, shorter than data.crop_seconds, "
                f"{data.crop_seconds}: the teacher should hear more than the student; change one"
            )


class Taught(RisingMomentum, Method):
    """Student and teacher, an encoder and a head each; the teacher is evaluated.

    A subclass makes ``head``, which has a ``bottleneck``, and calls `make_teacher`. Its settings
    have ``momentum`` and ``teacher_statistics``.
    """

    def make_teacher(self) -> None:
        """Copy encoder and head."""
        self.teacher_encoder = follower(self.encoder)
        self.teacher_head = follower(self.head)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> "Taught":
        """Set the student's mode; the teacher leaves evaluation mode for its targets only.

        By default, targets use the statistics of their batch. References for SSPS, saved models
        and tests use running statistics. On the mini corpus, one run whose targets used running
        statistics too (``method.teacher_statistics=running``) collapsed in five epochs. Another
        run with batch statistics, and a teacher's momentum of 0.99 instead of 0.98, did not
        collapse. Which of the two changes helped was not tested.
        """
        super().train(mode)
        self.teacher_encoder.eval()
        self.teacher_head.eval()
        return self

    @torch.no_grad()
    def teach(self, crops: Tensor) -> Tensor:
        """Return (batch, count, bottleneck) of crops (count, batch, frames, mel)."""
        measure = self.training and self.config.teacher_statistics == "batch"
        for part in (self.teacher_encoder, self.teacher_head):
            part.train(measure)
        found = self.teacher_head.bottleneck(self.teacher_encoder(crops.flatten(0, 1)))
        for part in (self.teacher_encoder, self.teacher_head):
            part.eval()
        return found.unflatten(0, crops.shape[:2]).transpose(0, 1)

    def after_step(self, moment: Moment) -> None:
        """Move the teacher's weights towards the student's."""
        self.steps += 1
        steps = self.steps if self.config.teacher_statistics == "running" else None
        for target, source in self.momentum_pairs():
            follow(target, source, self.momentum(moment), steps)

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the teacher's networks and those of the student, which they follow."""
        return [(self.teacher_encoder, self.encoder), (self.teacher_head, self.head)]

    @property
    def evaluated(self) -> nn.Module:
        """The teacher's encoder, an average of many students."""
        return self.teacher_encoder
