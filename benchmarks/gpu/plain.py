"""The steps as one writes them first, to compare with: no pinning, no overlap, masks in the loss.

Each loss is written from its formula, with whole matrices of similarities and masks, and without
anything from ``sv.losses``. The networks and the augmentation are the same, so that the difference
is that of the step.
"""

import copy
from collections.abc import Callable
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.crops.views import Batch
from sv.device import autocast
from sv.methods.base import Method, Views
from sv.training.trainer import Trainer


class PlainTraining:
    """The step of a training, with its own copy of the networks and an optimiser of torch."""

    def __init__(self, trainer: Trainer):
        self.trainer, self.method = trainer, copy.deepcopy(trainer.method)
        self.name = trainer.settings.method.name
        optim = trainer.settings.optim
        weights = [w for w in self.method.parameters() if w.requires_grad]
        if optim.name == "sgd":
            self.optimizer = torch.optim.SGD(weights, lr=optim.lr, momentum=optim.momentum)
        else:
            self.optimizer = torch.optim.Adam(weights, lr=optim.lr)

    def step(self, batch: Batch) -> float:
        """Do a step and return its loss, which waits for the device, as such programs do."""
        with torch.backends.cudnn.flags(enabled=True, deterministic=False, benchmark=False):
            return self._step(batch)

    def _step(self, batch: Batch) -> float:
        trainer = self.trainer
        self.method.train()
        views = trainer.views(batch, trainer.moment)
        with autocast(trainer.device, trainer.dtype):
            loss = LOSSES[self.name](self.method, views)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        for slow, fast in self.method.momentum_pairs():
            with torch.no_grad():
                for average, weight in zip(slow.parameters(), fast.parameters(), strict=True):
                    average.mul_(0.999).add_(weight, alpha=0.001)
        return loss.item()


def simclr(method: Method, views: Views) -> Tensor:
    """NT-Xent with the diagonal masked; with SSPS, positives are drawn with masks as well."""
    z1, z2 = method.encoder(views.crops["views"].flatten(0, 1)).float().chunk(2)
    if method.positives is not None:
        z2 = other_positives(method, z2, views)
    z = F.normalize(torch.cat([z1, z2]))
    logits = z @ z.T / method.config.temperature
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    target = torch.arange(len(z), device=z.device).roll(len(z1))
    return F.cross_entropy(logits, target)


@torch.no_grad()
def other_positives(method: Method, own: Tensor, views: Views) -> Tensor:
    """Draw each positive among the queue's entries of the next cluster, by a mask of all pairs."""
    ssps, utterances = method.positives, views.utterances
    method.encoder.eval()
    references = F.normalize(method.encoder(views.crops["reference"][0]).float())
    method.encoder.train()
    cluster = ssps.near[ssps.cluster[utterances], 0]
    mask = ssps.cluster[ssps.queued.clamp_min(0)] == cluster[:, None]
    mask &= (ssps.queued >= 0) & (ssps.queued != utterances[:, None])
    found = mask.any(dim=1)
    drawn = torch.multinomial(torch.where(found[:, None], mask, True).float(), 1).squeeze(1)
    mixed = torch.where(found[:, None], ssps.queue[drawn], own.detach())
    ssps.references[utterances] = references.half()
    ssps.queue[: len(own)] = own.detach()
    ssps.queued[: len(own)] = utterances
    return mixed


def moco(method: Method, views: Views) -> Tensor:
    """Both crops are queries in turn; keys are made in permuted parts; then the queues move."""
    crops, config = views.crops["views"], method.config
    queries, keys = crops.flatten(0, 1), crops.flip(0).flatten(0, 1)
    with torch.no_grad():
        seed = torch.Generator().manual_seed(int(method.queue.position))
        order = torch.randperm(len(keys), generator=seed).to(keys.device)
        made = torch.cat(
            [method.key_encoder(keys[part]) for part in order.tensor_split(config.key_batches)]
        )
        keys = F.normalize(made.float())[order.argsort()]
    queries = F.normalize(method.encoder(queries).float())
    loss = 0
    queues = (method.queue, method.first_queue)
    for queue, q, k in zip(queues, queries.chunk(2), keys.chunk(2), strict=True):
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.rows.clone().T], dim=1)
        target = torch.zeros(len(q), dtype=torch.long, device=q.device)
        loss = loss + F.cross_entropy(logits / config.temperature, target) / 2
    for queue, k in zip(queues, keys.chunk(2), strict=True):
        start = int(queue.position)
        places = torch.arange(start, start + len(k), device=k.device) % len(queue.rows)
        queue.rows[places] = k
        queue.position.fill_((start + len(k)) % len(queue.rows))
    return loss


def dino(method: Method, views: Views) -> Tensor:
    """The cross-entropy of every pair of a teacher's and a student's crop, one after another."""
    config, crops = method.config, views.crops
    with torch.no_grad():
        method.teacher_encoder.train()
        method.teacher_head.train()
        taught = method.teacher_head(method.teacher_encoder(crops["global"].flatten(0, 1))).float()
        targets = ((taught - method.center) / config.teacher_temp).softmax(dim=1)
        centre = taught.mean(dim=0, keepdim=True)
        targets = targets.chunk(config.global_crops)
    outputs = [method.head(method.encoder(x.flatten(0, 1))).float() for x in crops.values()]
    counts = [len(x) for x in crops.values()]
    students = [z for n, out in zip(counts, outputs, strict=True) for z in out.chunk(n)]
    terms = [
        -(target * (student / config.student_temp).log_softmax(dim=1)).sum(dim=1).mean()
        for t, target in enumerate(targets)
        for s, student in enumerate(students)
        if s != t
    ]
    share = config.center_momentum
    method.center.copy_(method.center * share + centre * (1 - share))
    return sum(terms) / len(terms)


def h_scl(method: Method, views: Views) -> Tensor:
    """Jiang et al. 2022 with two crops a speaker: masks of positives and of negatives."""
    crops = views.crops["views"]
    z = F.normalize(method.encoder(crops.flatten(0, 1)).float())
    labels = views.labels.expand(len(crops), -1).reshape(-1)
    alike = labels[:, None] == labels
    positive = alike & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    negative = ~alike
    c = (2 * z @ z.T / method.temperature()).exp()
    weight = c.detach() ** method.config.beta * negative
    mean = (weight * c).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
    terms = -(c / (c + negative.sum(dim=1, keepdim=True) * mean)).log()
    return ((terms * positive).sum(dim=1) / positive.sum(dim=1)).mean()


def csc(method: Method, views: Views) -> Tensor:
    """Separation and contrast; absent sources take part everywhere and are masked."""
    mixtures, truth = views.crops["mixtures"], views.sources["mixtures"]
    conditions, batch = mixtures.shape[:2]
    sources = method._as_many(truth.log_mel, -50.0).flatten(0, 1)
    items = method._as_many(truth.items, -1)
    found = method.encoder.separate(mixtures.flatten(0, 1))
    loud, true = (0.3 * found.log_mel.float()).exp(), (0.3 * sources).exp()
    energy = (0.6 * mixtures.flatten(0, 1)).exp().sum(dim=(1, 2))
    orders = list(permutations(range(sources.shape[1])))
    errors = [(true - loud[:, list(order)]).square().sum(dim=(1, 2, 3)) for order in orders]
    best, which = torch.stack(errors, dim=1).min(dim=1)
    order = torch.tensor(orders, device=which.device)[which]
    rows = torch.arange(len(order), device=order.device)[:, None]
    voices = F.normalize(found.embeddings[rows, order].float().flatten(0, 1))
    there, target = items.flatten() >= 0, torch.zeros_like(items, dtype=torch.bool)
    target[:, :, 0] = True
    target = target.flatten()
    who = items.flatten()
    condition = torch.arange(len(who), device=who.device) // (len(who) // conditions)
    allowed = (who[:, None] == who) & (condition[:, None] != condition) & target
    attention = method.query(voices) @ method.key(voices).T / voices.shape[1] ** 0.5
    attention = attention.float().masked_fill(~allowed, -1e9).softmax(dim=1) * allowed
    vectors = F.normalize(attention @ voices)
    square = (voices[:, None] - vectors[None]).square().sum(dim=2)
    scores = method.beta - method.log_alpha.exp() * square
    candidates = (who[:, None] != who) & (condition[:, None] == condition) & target & there
    candidates |= torch.eye(len(who), dtype=torch.bool, device=who.device)
    terms = scores.masked_fill(~candidates, -torch.inf).logsumexp(dim=1) - scores.diagonal()
    return (best / energy).mean() + method.config.contrast_weight * terms[there].mean()


LOSSES: dict[str, Callable[[nn.Module, Views], Tensor]] = {
    "simclr": simclr,
    "moco": moco,
    "dino": dino,
    "h_scl": h_scl,
    "csc": csc,
}
