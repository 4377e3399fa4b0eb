"""CPC: a recurrent network hears the beginning of a crop and predicts what comes after it.

Van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive Coding" (arXiv
1807.03748). A crop is cut into W windows x_1 … x_W. With f the encoder, and T steps ahead:

    c   = last state of a GRU over f(x_1) … f(x_{W−T}) of the first crop
    p_t = W_t c + b_t,  t = 1 … T, a linear layer for each step
    L   = mean over t of InfoNCE(p_t, f(x'_{W−T+t}))  (`sv.losses.cpc`), x' of the second crop

That the future is of the other crop, whose augmentation is another one, and the GRU are those of
the reference toolkit for speakers (arXiv 2505.14561). There f gives a vector for each frame, and
the state of the GRU is the embedding. Here f is the whole encoder with its pooling, as the paper
has it for patches of images: a saved model is an encoder, so pooling and last layer must learn too.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import gather
from sv.errors import InputError
from sv.losses import cpc_loss
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views
from sv.methods.figures import pair_cosines


@dataclass
class CPCConfig(MethodConfig):
    """Van den Oord et al. 2018 (arXiv 1807.03748), as run in the reference toolkit for speakers."""

    name: str = option("cpc", "the method")
    windows: int = option(
        8,
        "W, number of windows in a crop. A window should hold some sounds, 0.25 s or more: shorter "
        "ones say little about the speaker, and the network never hears long speech",
    )
    steps: int = option(
        4, "T, number of last windows that are predicted. With more, less is left to predict from"
    )
    context: int = option(
        256, "size of the state of the recurrent network, which sums up the first windows"
    )

    def __post_init__(self):
        if not 1 <= self.steps < self.windows:
            raise ValueError(
                f"steps must be from 1 to below windows, {self.windows}, not {self.steps}"
            )
        if self.context < 1:
            raise ValueError("context must be at least 1")


class CPC(Method):
    """The encoder for windows, a GRU over their embeddings, and a linear layer for each step."""

    def __init__(self, encoder: nn.Module, config: CPCConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        dim = encoder.embedding_dim
        self.aggregator = nn.GRU(dim, config.context, batch_first=True)
        self.predictors = nn.ModuleList(nn.Linear(config.context, dim) for _ in range(config.steps))

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """The embeddings of the future windows."""
        return (self.config.steps, self.encoder.embedding_dim)

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return two crops, which are long enough for the windows."""
        groups = super().crop_groups(data)
        frames, least = groups[0].frames, getattr(self.encoder, "min_frames", 1)
        if frames // self.config.windows < least:
            raise InputError(
                f"a crop of {data.crop_seconds:g} s has {frames} frames, too few for "
                f"{self.config.windows} windows of {least} or more: raise data.crop_seconds, or "
                "lower method.windows"
            )
        return groups

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        steps = self.config.steps
        first, second = (self._windows(crop) for crop in views.crops["views"])
        past = first[:, :-steps]
        # One batch of all windows, so that batch norms measure past and future alike.
        windows = torch.cat([past, second[:, -steps:]], dim=1)
        embeddings = self.encoder(windows.flatten(0, 1))
        past, future = embeddings.unflatten(0, windows.shape[:2]).split([past.shape[1], steps], 1)
        future = self.substitute(future, views)
        predictions = self._predict(past)
        joined = gather(predictions)
        loss = cpc_loss(joined.transpose(1, 2), gather(future).transpose(1, 2))
        return loss, {
            **pair_cosines(predictions[:, -1], future[:, -1]),
            "chance": math.log(len(joined)),
            "embeddings": embeddings.detach(),
        }

    def _windows(self, crop: Tensor) -> Tensor:
        """Cut (batch, frames, mel) into (batch, windows, frames of a window, mel)."""
        count = self.config.windows
        length = crop.shape[1] // count
        return crop[:, : count * length].unflatten(1, (count, length))

    def _predict(self, past: Tensor) -> Tensor:
        """Return predictions (batch, steps, D) from embeddings (batch, windows, D) of the past."""
        with torch.autocast(past.device.type, enabled=False):
            _, state = self.aggregator(past.float())
            return torch.stack([predict(state[-1]) for predict in self.predictors], dim=1)
