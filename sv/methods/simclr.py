"""SimCLR: two crops of one utterance attract, crops of other utterances in the batch repel."""

from dataclasses import dataclass

from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather, own_rows
from sv.encoders.heads import mlp
from sv.losses import nt_xent
from sv.methods.base import Facts, Method, Moment, Stats, Views
from sv.methods.contrastive import ContrastiveConfig, chance
from sv.methods.figures import pair_cosines


@dataclass
class SimCLRConfig(ContrastiveConfig):
    """Chen et al. 2020 as run for speakers by Lepage & Dehak, Odyssey 2024 (arXiv 2404.14913)."""

    name: str = option("simclr", "the method")
    symmetric: bool = option(
        True,
        "true: every crop is an anchor and is compared with all others of both "
        "views; false: view 1 is compared with view 2",
    )
    drop_collisions: bool = option(
        False,
        "an ablation that needs --labels: utterances of the anchor's speaker are "
        "not negatives. The paper found no gain (7.95 % against 7.85 %, arXiv "
        "2404.14913)",
    )


class SimCLR(Method):
    """The encoder, an optional projector, and NT-Xent on the views of a batch."""

    def __init__(self, encoder: nn.Module, config: SimCLRConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        self.projector = mlp([encoder.embedding_dim, *config.projector], config.projector_norm)
        self.margin = config.build_margin()

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log."""
        embeddings = self.encoder(views.crops["views"].flatten(0, 1))
        anchor, positive = self.projector(embeddings).chunk(2)
        positive = self.substitute(positive, views)
        loss, stats = self.contrast(anchor, positive, views)
        return loss, {**stats, "embeddings": embeddings.detach()}

    def contrast(self, anchor: Tensor, positive: Tensor, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss of a batch's projections (batch, D) and positives, and figures to log."""
        joined, joined_positive = gather(anchor), gather(positive)
        symmetric, progress = self.config.symmetric, views.moment.share
        drop = self.config.drop_collisions
        loss = nt_xent(
            joined,
            joined_positive,
            temperature=self.config.temperature,
            symmetric=symmetric,
            anchors=own_rows(len(anchor)),
            speakers=gather(views.labels) if drop else None,
            **self.margin(joined, joined_positive, progress),
        )
        negatives = 2 * len(joined) - 2 if symmetric else len(joined) - 1
        return loss + self.margin.penalty(anchor), {
            **pair_cosines(anchor, positive),
            "chance": chance(self.config, self.margin, anchor, negatives, progress),
        }

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return the margin."""
        return {"the margin": float(self.margin.value(moment.share))}
