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

    def __init__(self, encoder: nn.Module, config: ClassifyConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        speakers = facts.speakers if facts else 0
        if speakers < 2:
            raise ValueError("a classifier needs Facts with two speakers or more")
        centers = torch.empty(speakers * config.sub_centers, encoder.embedding_dim)
        self.centers = nn.Parameter(nn.init.xavier_normal_(centers))

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
        stats = contrast(z.detach(), labels) | {"accuracy": self._accuracy(z.detach(), labels)}
        return loss, {**stats, "embeddings": z.detach()}

    @torch.no_grad()
    def _accuracy(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the share of crops whose nearest centre is one of their own speaker."""
        nearest = (z @ F.normalize(self.centers).T).argmax(dim=1)
        return (nearest // self.config.sub_centers == labels).float().mean()
