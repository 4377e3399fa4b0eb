"""MoCo: like SimCLR, but negatives come from a queue of keys made by a slow copy of the encoder."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv import distributed
from sv.config import option
from sv.distributed import gather, own_rows, world_size
from sv.encoders.heads import mlp
from sv.encoders.sync_norm import is_synchronised
from sv.errors import InputError
from sv.losses import moco_nce
from sv.methods.base import Facts, Method, Moment, Stats, Views
from sv.methods.contrastive import ContrastiveConfig, chance
from sv.methods.figures import pair_cosines
from sv.methods.momentum import follower
from sv.methods.queue import Queue, check_queue


@dataclass
class MoCoConfig(ContrastiveConfig):
    """He et al. 2020 as run for speakers by Lepage & Dehak, Odyssey 2024 (arXiv 2404.14913)."""

    name: str = option("moco", "the method")
    queue_size: int = option(
        32768,
        "number of keys that are kept as negatives. More keys give harder "
        "negatives, but from older networks. The queue may not be larger than the "
        "training set. If that set is small, stay below half of it; otherwise crops "
        "of the same utterance become negatives",
    )
    momentum: float = option(
        0.999,
        "momentum of the key encoder. If it is too low, keys in the queue disagree "
        "and the loss jumps. If it is too high, the keys hardly learn within the "
        "training, so a short training needs 0.99",
    )
    symmetric: bool = option(
        False,
        "true: both crops are query and key in turn, each with its own queue, as "
        "published. This takes twice the time and gives twice the positives",
    )
    key_batches: int = option(
        1,
        "number of batches of permuted crops in which keys are computed, over all "
        "processes. With one batch, the batch norms of keys and queries use the "
        "same utterances, which reveals the pairs; use 2 to 8 on one GPU. If "
        "train.sync_batch_norm is false, every process computes at least one batch",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, not {self.queue_size}")
        if self.key_batches < 1:
            raise ValueError(f"key_batches must be at least 1, not {self.key_batches}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")


class MoCo(Method):
    """Encoder and optional projector, their momentum copies, queues, and InfoNCE.

    Each direction takes queries from one view, and positives from the keys of the other view. Its
    queue holds earlier keys of that other view. ``queue`` holds keys of view 2.
    """

    def __init__(self, encoder: nn.Module, config: MoCoConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        check_queue("queue_size", config.queue_size, facts)
        self.projector = mlp([encoder.embedding_dim, *config.projector], config.projector_norm)
        self.margin = config.build_margin()
        self.key_encoder = follower(encoder)
        self.key_projector = follower(self.projector)
        self.queue = Queue(config.queue_size, self.head_dim)
        self.first_queue = Queue(config.queue_size, self.head_dim) if config.symmetric else None

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Shape of a key, or of the keys of both crops."""
        return (2, self.head_dim) if self.config.symmetric else (self.head_dim,)

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return the loss and figures to log; then the keys of the batch enter their queues."""
        crops = views.crops["views"]
        both = slice(None) if self.config.symmetric else slice(0, 1)
        queries, keys = crops[both].flatten(0, 1), crops.flip(0)[both].flatten(0, 1)
        everyones = self.keys(keys)
        own = own_rows(len(keys)) or slice(None)
        positive = self._substitute_keys(everyones[own], views)
        embeddings = self.encoder(queries)
        anchor = self.projector(embeddings)
        progress = views.moment.share
        margin = self.margin(gather(anchor.detach()), gather(positive), progress)
        queues = [self.queue, self.first_queue] if self.config.symmetric else [self.queue]
        loss = torch.zeros((), device=anchor.device)
        for queue, q, k in zip(
            queues, anchor.chunk(len(queues)), positive.chunk(len(queues)), strict=True
        ):
            how = {"temperature": self.config.temperature, **margin}
            how |= self.corrections(q, queue, views)
            loss = loss + moco_nce(q, k, queue.rows, **how) / len(queues)
        # Keys of the second crop alone: one of each utterance.
        added, figures = self.beside(anchor, everyones[own].chunk(len(queues))[0], views)
        for queue, mine in zip(queues, everyones[own].chunk(len(queues)), strict=True):
            queue.put(gather(mine))
        self.after_keys(views)
        level = chance(self.config, self.margin, anchor, len(self.queue.rows), progress)
        return loss + added + self.margin.penalty(anchor), {
            **pair_cosines(anchor, positive),
            **figures,
            "chance": level + figures.get("chance", 0.0),
            "embeddings": embeddings.detach(),
        }

    def corrections(self, query: Tensor, queue: Queue, views: Views) -> dict[str, Tensor]:
        """Return further arguments of `moco_nce` for the queries of one direction; here none."""
        return {}

    def after_keys(self, views: Views) -> None:
        """Do what follows when the keys of a batch have entered their queues; here nothing."""

    def beside(self, anchor: Tensor, keys: Tensor, views: Views) -> tuple[Tensor | float, Stats]:
        """Return what a relative adds to the loss of a batch, with its figures; here nothing.

        anchor: (directions · batch, D) queries. keys: (batch, D) of this process. ``chance`` among
        the figures is added to that of MoCo.
        """
        return 0.0, {}

    def _substitute_keys(self, keys: Tensor, views: Views) -> Tensor:
        """Let SSPS choose other keys; the keys of an utterance's two crops stay together."""
        per_item = keys.unflatten(0, (-1, len(views.utterances))).transpose(0, 1)
        per_item = self.substitute(per_item.reshape(-1, *self.positive_shape), views)
        return per_item.view(len(views.utterances), -1, keys.shape[1]).transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def keys(self, crops: Tensor) -> Tensor:
        """Return keys of all processes (processes * n, dim), of unit length.

        crops: (n, frames, mel) of this process.
        """

        def forward(x: Tensor) -> Tensor:
            return self.key_projector(self.key_encoder(x))

        if is_synchronised(self.key_encoder):  # its batch norms use the crops of all processes
            return F.normalize(gather(forward(crops)).float())
        parts = max(1, self.config.key_batches // world_size())
        if parts > 1 and len(crops) < 2 * parts:
            raise InputError(
                f"method.key_batches is {self.config.key_batches}, but {len(crops)} keys are too "
                "few for that number of batches of two or more: lower method.key_batches, or raise "
                "train.batch_size"
            )
        shuffled = world_size() > 1 or parts > 1
        seed = int(self.queue.position) if shuffled else 0
        return F.normalize(shuffled_forward(forward, crops, seed, parts).float())

    def schedules(self, moment: Moment) -> dict[str, float]:
        """Return the margin."""
        return {"the margin": float(self.margin.value(moment.share))}

    def momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the networks of the keys and those of the queries, which they follow."""
        return [(self.key_encoder, self.encoder), (self.key_projector, self.projector)]


# ---------------------------------------------------------------- shuffled batches


def shuffled_forward(
    network: Callable[[Tensor], Tensor], crops: Tensor, seed: int, parts: int = 1
) -> Tensor:
    """Return the outputs of ``network`` for the crops of all processes, in shuffled batches.

    A batch norm measures the crops of its own batch. If the two crops of an utterance were always
    in batches with the same other utterances, the statistics would reveal the pair (He et al. 2020,
    section 3.3). So each process gets a random share of all crops, in one or several batches, and
    the outputs are put back in order.

    All processes draw the same permutation from the same seed. MoCo uses the position in its queue
    as the seed. It is equal in all processes and part of the checkpoint, so no generator state has
    to be sent.

    Parameters
    ----------
    crops: (batch, frames, mel) of this process's items.
    seed: of the permutation, the same in every process.
    parts: number of batches into which each process divides its share.

    Returns
    -------
    (joined batch, dim), in order of processes. One process with one part runs the network directly.
    """
    if distributed.world_size() == parts == 1:
        return network(crops)
    everything = distributed.gather(crops)
    generator = torch.Generator(crops.device).manual_seed(seed)
    order = torch.randperm(len(everything), generator=generator, device=crops.device)
    mine = order[distributed.own_rows(len(crops)) or slice(None)]
    outputs = [network(everything[some]) for some in mine.tensor_split(parts) if len(some)]
    shuffled = distributed.gather(torch.cat(outputs))
    return torch.empty_like(shuffled).index_copy_(0, order, shuffled)
