"""Contrastive separative coding: embeddings that stay on the speaker when another person speaks.

Every utterance of a batch is mixed with others of the batch, under several interfering conditions.
The encoder separates each mixture and embeds each source. Cross-attention makes a global speaker
vector from the embeddings of a speaker's other conditions. The loss moves the embedding of the
current condition nearer to this vector than to the global vectors of everybody else in the batch.

Source: Wang et al., ICASSP 2021 (arXiv 2103.00816), of which only the abstract was at hand. See
docs/csc.md.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.config import option
from sv.crops.groups import CropGroup, DataConfig
from sv.distributed import elsewhere, factor_of_mean, gather
from sv.errors import InputError
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.temperature import LearnableTemperature
from sv.methods.base import Facts, Method, MethodConfig, Stats, Views
from sv.methods.figures import pair_cosines

GROUP = "mixtures"
SILENT = -50.0
"""Log power of an absent source."""


@dataclass
class CSCConfig(MethodConfig):
    """Settings of contrastive separative coding; settings of the mixtures are in ``mixing``."""

    name: str = option("csc", "the method")
    conditions: int = option(
        3,
        "K: number of mixtures of each utterance in a step, each from another crop "
        "with other interferers. At least 2; attention has a choice only from 3 on. "
        "Time grows in proportion",
    )
    contrast_weight: float = option(
        1.0,
        "λ of L_separation + λ L_CSL. If it is too low, the embeddings separate "
        "sources, but not speakers",
    )
    separation: bool = option(
        True,
        "train the masks to separate; false: an ablation in which only the contrast "
        "trains the masks",
    )
    attention: bool = option(
        True,
        "cross-attention over a speaker's other conditions; false: an ablation that "
        "takes their mean",
    )
    contrast: Literal["csl", "infonce"] = option(
        "csl", "csl: exp(-α‖v-g‖² + β), α and β learned; infonce: cosine over a learned temperature"
    )
    unit_length: bool = option(
        True,
        "csl: compare vectors of unit length, as cosine scoring does. false: "
        "compare them unchanged; the length may then separate voices that the "
        "cosine does not",
    )
    alpha: float = option(
        10.0,
        "csl: α at the start. If it is too high, only the hardest contrast counts, "
        "and training is unsteady",
    )
    temperature: float = option(0.1, "infonce: the temperature at the start")

    def __post_init__(self):
        if self.conditions < 2:
            raise ValueError(f"conditions must be at least 2, not {self.conditions}")
        if self.contrast_weight < 0 or self.alpha <= 0:
            raise ValueError("contrast_weight must not be negative, and alpha above 0")


class CSC(Method):
    """The separative encoder, cross-attention, and the two losses."""

    accumulation = "none"

    def __init__(self, encoder: nn.Module, config: CSCConfig, facts: Facts | None = None):
        super().__init__(encoder, config)
        if encoder.sources < 2:
            raise InputError(
                f"{config.name} separates speakers: it needs model.name separative and "
                "model.sources of 2 or more"
            )
        dim = encoder.embedding_dim
        if config.attention:
            self.query = nn.Linear(dim, dim, bias=False)
            self.key = nn.Linear(dim, dim, bias=False)
        if config.contrast == "csl":
            self.log_alpha = nn.Parameter(torch.tensor(config.alpha).log())
            self.beta = nn.Parameter(torch.zeros(()))
        else:
            self.temperature = LearnableTemperature(config.temperature)

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """Raise ``InputError``: SSPS replaces positives, and this method has none."""
        raise InputError("ssps and csc do not go together: --set ssps.enabled=false")

    def crop_groups(self, data: DataConfig) -> list[CropGroup]:
        """Return the group of mixtures of each utterance, with their sources."""
        if data.normalise == "mean_var":
            raise InputError(
                "csc adds powers, which data.normalise mean_var distorts: use mean or none"
            )
        return [CropGroup(GROUP, self.config.conditions, data.crop_seconds, sources=True)]

    def training_step(self, views: Views) -> tuple[Tensor, Stats]:
        """Return L_separation + λ L_CSL and figures to log."""
        mixtures, truth = views.crops[GROUP], views.sources[GROUP]
        conditions, batch = mixtures.shape[:2]
        sources = self._as_many(truth.log_mel, SILENT)
        items = self._as_many(truth.items, -1)
        found = self.encoder.separate(mixtures.flatten(0, 1))
        separation, order = pit_loss(
            found.log_mel, sources.flatten(0, 1), mixtures.flatten(0, 1).to(sources.dtype)
        )
        rows = torch.arange(len(order), device=order.device)[:, None]
        voices = found.embeddings[rows, order].unflatten(0, (conditions, batch))
        contrast, stats = self.contrast(voices, items, self.identities(views))
        loss = self.config.contrast_weight * contrast
        if self.config.separation:
            loss = loss + separation
        targets = voices[:, :, 0].detach()
        return loss, {
            "separation_loss": separation.detach(),
            "contrast_loss": contrast.detach(),
            **stats,
            **pair_cosines(targets[0], targets[1]),
            "embeddings": targets.flatten(0, 1),
        }

    def identities(self, views: Views) -> Tensor:
        """Return the identity of each item (batch,): its utterance, because labels are unknown."""
        return views.sources[GROUP].items[0, :, 0]

    def contrast(self, voices: Tensor, items: Tensor, identity: Tensor) -> tuple[Tensor, Stats]:
        """Return L_CSL, or InfoNCE, of every source that is present, and figures to log.

        Items of other processes are part of the contrast and of the attention. If a process used
        only its own items, each contrast would have fewer candidates, and the bound on mutual
        information would be that of a small batch.

        voices: (conditions, batch, sources, dim) embeddings; source 0 is the target.
        items: (conditions, batch, sources) place of each source in the joined batch, -1 for none.
        identity: (batch,) numbers; equal numbers are the same speaker.
        """
        # Absent sources keep their rows, which no sum counts. So no shape depends on values, and a
        # GPU does not wait.
        there = (items >= 0).flatten()
        condition = torch.arange(len(items), device=items.device)
        of_voice = condition[:, None, None].expand_as(items).flatten()
        everybody, others = gather(identity), elsewhere(identity)
        who = everybody[items.clamp_min(0)].flatten()
        v = voices.flatten(0, 2).float()
        if self.config.contrast == "infonce" or self.config.unit_length:
            v = F.normalize(v)

        def targets(x: Tensor) -> Tensor:
            """Return the targets' rows of x (M, ...): (conditions, batch, ...)."""
            return x.unflatten(0, items.shape)[:, :, 0]

        def targets_elsewhere(x: Tensor) -> Tensor:
            """Return the targets' rows of x (M, dim) of the other processes, item by item."""
            return elsewhere(targets(x).transpose(0, 1)).flatten(0, 1)

        # Every item under every condition: first own items, then those of other processes.
        bank = torch.cat([targets(v).flatten(0, 1), targets_elsewhere(v)])
        other_condition = condition.repeat(len(others))
        others = others[:, None].expand(-1, len(items)).flatten()
        bank_who = torch.cat([targets(who).flatten(), others])
        bank_condition = torch.cat([targets(of_voice).flatten(), other_condition])
        # Mask the current condition; otherwise the query could copy it.
        allowed = (who[:, None] == bank_who) & (of_voice[:, None] != bank_condition)
        g = self.global_vectors(v, bank, allowed)
        scores = self.scores(v, torch.cat([g, targets_elsewhere(g)]))
        # Everybody in the batch is the contrast, through the global vector of the same condition.
        of_column = torch.cat([of_voice, other_condition])
        candidates = (who[:, None] != torch.cat([who, others])) & (of_voice[:, None] == of_column)
        own = torch.arange(len(v), device=v.device)
        candidates[:, : len(v)] &= own % items.shape[2] == 0  # targets only: their source is 0
        loss, bound = separative_loss(scores, own, candidates, there)
        # Processes may have different numbers of sources, because items have 0 to n interferers.
        factor = factor_of_mean(there.sum())
        stats = {
            "mi_bound": factor * bound,
            "mi_ceiling": math.log(len(everybody)),
        }
        if self.config.contrast == "csl":
            stats["alpha"] = self.log_alpha.detach().exp()
        return factor * loss, stats

    def global_vectors(self, v: Tensor, bank: Tensor, allowed: Tensor) -> Tensor:
        """Return the global speaker vector (M, dim) of each v (M, dim), from ``bank`` (R, dim).

        The values of the attention are the embeddings themselves, so v and g are in one space.
        """
        if self.config.attention:
            g, _ = cross_attention(self.query(v), self.key(bank), bank, allowed)
        else:
            g, _ = cross_attention(torch.zeros_like(v), bank, bank, allowed)
        unit = self.config.contrast == "infonce" or self.config.unit_length
        return F.normalize(g) if unit else g

    def scores(self, v: Tensor, g: Tensor) -> Tensor:
        """Return (M, N) log f of every v (M, dim) with every g (N, dim)."""
        if self.config.contrast == "infonce":
            return v @ g.to(v.dtype).T / self.temperature()
        return csl_scores(v, g, self.log_alpha.exp(), self.beta)

    def _as_many(self, x: Tensor, nothing: float) -> Tensor:
        """Fill dimension 2 with absent sources, up to the encoder's number of sources."""
        missing = self.encoder.sources - x.shape[2]
        if missing < 0:
            raise InputError(
                f"mixtures have up to {x.shape[2]} speakers and model.sources is "
                f"{self.encoder.sources}: set it to {x.shape[2]}, or lower mixing.interferers"
            )
        filler = x.new_full((*x.shape[:2], missing, *x.shape[3:]), nothing)
        return torch.cat([x, filler], dim=2)


class SupervisedCSC(CSC):
    """CSC with true speakers: all utterances of a speaker have the same identity.

    This is a SUPERVISED ablation. It measures how much of the error comes from utterances of one
    speaker that repel each other. Batches have distinct speakers with two utterances each. Each
    utterance has one condition, so ``conditions`` must be 2.
    """

    needs_labels = True

    def identities(self, views: Views) -> Tensor:
        """Return the true speakers (batch,)."""
        return views.labels if views.labels.dim() == 1 else views.labels[0]


@dataclass
class SupervisedCSCConfig(CSCConfig):
    """Like ``csc``, but SUPERVISED: the identity is the true speaker."""

    name: str = option("csc_supervised", "the method; it needs labels")
    conditions: int = option(2, "number of mixtures of each speaker: 2, one of each utterance")

    def __post_init__(self):
        super().__post_init__()
        if self.conditions != 2:
            raise ValueError(f"csc_supervised has 2 conditions, not {self.conditions}")
