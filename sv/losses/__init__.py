"""Losses: pure functions of embeddings, one family in each file."""

from sv.losses.adaptive_margin import AdaptiveMargin
from sv.losses.balance import mgda_weight
from sv.losses.bootstrap import byol_loss
from sv.losses.contrastive import moco_nce, nt_xent
from sv.losses.decorrelation import vicreg_loss
from sv.losses.distillation import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy
from sv.losses.prototypes import concentration, proto_chance, proto_nce
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.supervised import aam_softmax, h_scl, supcon
from sv.losses.temperature import LearnableTemperature

__all__ = [
    "AdaptiveMargin",
    "LearnableTemperature",
    "aam_softmax",
    "byol_loss",
    "concentration",
    "cross_attention",
    "csl_scores",
    "dino_loss",
    "h_scl",
    "mgda_weight",
    "moco_nce",
    "nt_xent",
    "pit_loss",
    "proto_chance",
    "proto_nce",
    "separative_loss",
    "sinkhorn",
    "supcon",
    "swav_loss",
    "update_center",
    "vicreg_loss",
    "view_cross_entropy",
]
