"""Classification of training speakers with an additive angular margin: the supervised baseline."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.losses import aam_softmax
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views
from sv.methods.supcon import contrast, crop_labels


@dataclass
class ClassifyConfig(MethodConfig):
    """AAM-Softmax (Deng et al., CVPR 2019) with the settings of arXiv 2507.17540."""

    name: str = option("aam", "the method")
    scale: float = option(
        30.0,
        "s, the inverse of a temperature. If it is too low, the loss stays high "
        "even for good vectors",
    )
    margin: float = option(
        0.2, "m, radians, 0 to 0.5. If it is too high at the start, a small network learns nothing"
    )
    sub_centers: int = option(
        1, "number of centres of a speaker; only the nearest one counts. Use 3 if labels are noisy"
    )

    def __post_init__(self):
        if self.scale <= 0 or not 0 <= self.margin < 1.5 or self.sub_centers < 1:
            raise ValueError("scale must be above 0, margin from 0 to 1.5, sub_centers at least 1")


class Classify(Method):
    """The encoder and a centre for each speaker. The centres are not part of the saved model."""

    needs_labels = True
    accumulation = "plain"

    def __init__(self, encoder: nn.Module, config: ClassifyConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.centers = new_centers(facts, encoder.embedding_dim, config.sub_centers)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        z = self.encoder(views.crops["views"].flatten(0, 1))
        labels = crop_labels(views)
        loss = aam_softmax(
            z,
            self.centers,
            labels,
            scale=self.config.scale,
            margin=self.config.margin,
            sub_centers=self.config.sub_centers,
        )
        accuracy = share_nearest(z.detach(), self.centers, labels, self.config.sub_centers)
        stats = contrast(z.detach(), labels) | {"accuracy": accuracy}
        return loss, {**stats, "embeddings": z.detach()}


def new_centers(facts: Facts | None, dim: int, sub_centers: int = 1) -> nn.Parameter:
    """Return first centres of all speakers: (speakers · sub_centers, dim)."""
    speakers = facts.speakers if facts else 0
    if speakers < 2:
        raise ValueError("a classifier needs Facts with two speakers or more")
    centers = torch.empty(speakers * sub_centers, dim)
    return nn.Parameter(nn.init.xavier_normal_(centers))


@torch.no_grad()
def share_nearest(z: Tensor, centers: Tensor, labels: Tensor, sub_centers: int = 1) -> Tensor:
    """Return the share of embeddings (N, D) whose nearest centre is one of their own speaker."""
    nearest = (z @ F.normalize(centers).T).argmax(dim=1)
    return (nearest // sub_centers == labels).float().mean()
