"""Losses: pure functions of embeddings, one family in each file."""

from sv.losses.adaptive_margin import AdaptiveMargin
from sv.losses.bootstrap import byol_loss, simsiam_loss
from sv.losses.contrastive import moco_nce, nt_xent
from sv.losses.decorrelation import barlow_twins_loss, vibcreg_loss, vicreg_loss
from sv.losses.distillation import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.supervised import aam_softmax, h_scl, supcon
from sv.losses.temperature import LearnableTemperature
from sv.losses.whitening import iterative_whitening, w_mse_loss, whiten

__all__ = [
    "AdaptiveMargin",
    "LearnableTemperature",
    "aam_softmax",
    "barlow_twins_loss",
    "byol_loss",
    "cross_attention",
    "csl_scores",
    "dino_loss",
    "h_scl",
    "iterative_whitening",
    "moco_nce",
    "nt_xent",
    "pit_loss",
    "separative_loss",
    "simsiam_loss",
    "sinkhorn",
    "supcon",
    "swav_loss",
    "update_center",
    "vibcreg_loss",
    "vicreg_loss",
    "view_cross_entropy",
    "w_mse_loss",
    "whiten",
]
