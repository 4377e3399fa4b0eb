"""W-MSE: two crops of an utterance are close after whitening, which keeps all crops apart."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.config import option
from sv.errors import InputError
from sv.losses import w_mse_loss
from sv.methods.base import Facts, Stats
from sv.methods.draws import Draws
from sv.methods.siamese import Siamese, SiameseConfig


@dataclass
class WMSEConfig(SiameseConfig):
    """Ermolov et al. 2021 (arXiv 2007.06346), as run for speakers in the reference toolkit."""

    name: str = option("w_mse", "the method")
    projector: list[int] = option(
        [1024, 64],
        "sizes of layers between embedding and loss. The last one must be well below "
        "whitening_size, or whitening is not possible",
    )
    whitening_size: int = option(
        128,
        "items of a part of the batch, which is whitened by itself; as near as the batch allows. "
        "If it is too low, covariances are noise; twice the last layer is usual",
    )
    whitening_draws: int = option(
        1, "number of random divisions into parts; with more, the loss is less noisy and slower"
    )
    whitening_eps: float = option(
        0.0,
        "share of the identity in the covariance. Raise it to 0.01 if training stops because the "
        "covariance is singular",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.whitening_draws < 1 or not 0 <= self.whitening_eps < 1:
            raise ValueError("whitening_draws must be at least 1, whitening_eps 0 to below 1")
        if self.projector and self.whitening_size <= self.projector[-1]:
            raise ValueError(
                f"whitening_size is {self.whitening_size}: it must be above the last size of "
                f"projector, {self.projector[-1]}"
            )


class WMSE(Siamese):
    """The encoder, a narrow projector, and distances of its whitened outputs."""

    def __init__(self, encoder: nn.Module, config: WMSEConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.draws = Draws()

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the distance, a mean over the random divisions."""
        c = self.config
        if len(anchor) <= self.head_dim:
            raise InputError(
                f"a batch of {len(anchor)} cannot be whitened in {self.head_dim} dimensions: raise "
                "train.batch_size, or lower the last size of method.projector"
            )
        losses = []
        for _ in range(c.whitening_draws):
            draw = self.draws.next(anchor.device)
            order = torch.randperm(len(anchor), generator=draw, device=anchor.device)
            parts = order.tensor_split(max(1, len(anchor) // c.whitening_size))
            try:
                losses.append(w_mse_loss(anchor, positive, parts=parts, eps=c.whitening_eps))
            except torch.linalg.LinAlgError:
                raise InputError(
                    "the covariance of the outputs is singular, so they cannot be whitened: raise "
                    "method.whitening_eps (0.01) or method.whitening_size, or lower optim.lr"
                ) from None
        return torch.stack(losses).mean()

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return cosines, and the loss of whitened outputs that do not agree."""
        return {**super().figures(anchor, positive, items), "chance": 2.0}
