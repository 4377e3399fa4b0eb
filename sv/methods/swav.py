"""SwAV: the network predicts the assignment of one crop to prototypes from another crop."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.distributed import gather, rank, world_size
from sv.encoders.heads import mlp
from sv.losses import sinkhorn, swav_loss
from sv.methods.base import Facts, Method, MethodConfig, Moment, Stats, Views, check_sizes
from sv.methods.figures import output_use, pair_cosines
from sv.methods.queue import Queue, check_queue


@dataclass
class SwAVConfig(MethodConfig):
    """Caron et al. 2020 (arXiv 2006.09882), with the settings of arXiv 2505.14561."""

    name: str = option("swav", "the method")
    temperature: float = option(
        0.1,
        "τ of the predictions. If it is too high, the loss stays at ln of the number of prototypes",
    )
    prototypes: int = option(
        3000,
        "number of directions to which crops are assigned. Take more than there are "
        "speakers. If there are far more prototypes than crops in a batch, use the "
        "queue",
    )
    epsilon: float = option(
        0.05,
        "softness of the assignments. If it is too high, they are uniform and "
        "nothing is learned; if it is too low, training is unstable",
    )
    iterations: int = option(
        3, "rounds of Sinkhorn's algorithm; more rounds balance the prototypes better"
    )
    queue_size: int = option(
        3840,
        "number of earlier embeddings of each view that are assigned together with "
        "the batch, so that a batch smaller than the number of prototypes can be "
        "balanced. 0: none",
    )
    queue_start: float = option(
        0.15, "share of the training after which the queue is used; published: 15 of 100 epochs"
    )
    frozen_epochs: float = option(1.0, "number of epochs in which the prototypes do not learn")
    projector: list[int] = option(
        [2048, 2048, 512], "sizes of layers between embedding and prototypes, as for VICReg"
    )

    def __post_init__(self):
        check_sizes("projector", self.projector)
        if self.temperature <= 0 or self.epsilon <= 0:
            raise ValueError("temperature and epsilon must be above 0")
        if self.prototypes < 2 or self.iterations < 1:
            raise ValueError("prototypes must be at least 2, iterations at least 1")
        if self.queue_size < 0 or not 0 <= self.queue_start <= 1:
            raise ValueError("queue_size must not be negative; queue_start is a share, 0 to 1")


class SwAV(Method):
    """The encoder, a projector, prototypes of unit length, and a queue for each view.

    The queues fill from the first step and are used from ``queue_start`` on. By then they are full
    in any training of useful length, so no step has to wait for them.
    """

    def __init__(self, encoder: nn.Module, config: SwAVConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        check_queue("queue_size", config.queue_size, facts)
        sizes = [encoder.embedding_dim, *config.projector]
        self.projector = mlp(sizes)
        self.prototypes = nn.Linear(sizes[-1], config.prototypes, bias=False)
        self.queues = nn.ModuleList(
            Queue(config.queue_size, sizes[-1]) for _ in range(2 if config.queue_size else 0)
        )
        self._normalise_prototypes()

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of one output of the projector, of unit length."""
        return (self.prototypes.in_features,)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log; then the batch enters the queues."""
        c = self.config
        self.prototypes.requires_grad_(views.moment.epoch >= c.frozen_epochs)
        embeddings = self.encoder(views.crops["views"].flatten(0, 1))
        z = F.normalize(self.projector(embeddings).float())
        anchor, positive = z.chunk(2)
        originals = (anchor.detach(), positive.detach())
        positive = self.substitute(positive, views)
        scores = self.prototypes(torch.cat([anchor, positive])).float()
        use_queue = views.moment.share >= c.queue_start
        codes = [
            self._codes(own.detach(), number, use_queue)
            for number, own in enumerate(scores.chunk(2))
        ]
        loss = swav_loss(scores, torch.cat(codes), temperature=c.temperature, n_codes=2)
        for queue, view in zip(self.queues, originals, strict=False):
            queue.put(gather(view))
        return loss, {
            **pair_cosines(anchor, positive),
            **output_use((scores.detach() / c.temperature).softmax(dim=1)),
            "chance": math.log(c.prototypes),
            "embeddings": embeddings.detach(),
        }

    @torch.no_grad()
    def _codes(self, scores: Tensor, view: int, use_queue: bool) -> Tensor:
        """Return the assignments (batch, prototypes) of one view from its scores."""
        batch = len(scores)
        if use_queue and self.queues:
            mine = self.queues[view].rows[rank() :: world_size()]  # the columns are joined below
            earlier = self.prototypes(mine).float()
            scores = torch.cat([scores, earlier])
        c = self.config
        codes = sinkhorn(scores, epsilon=c.epsilon, iterations=c.iterations, join=gather)
        return codes[:batch]

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return whether the queue is used, 0 or 1."""
        return {"the use of the queue": float(moment.share >= self.config.queue_start)}

    def after_step(self, moment: Moment) -> None:
        """Put the prototypes back on the unit sphere."""
        self._normalise_prototypes()

    @torch.no_grad()
    def _normalise_prototypes(self) -> None:
        self.prototypes.weight.copy_(F.normalize(self.prototypes.weight))
