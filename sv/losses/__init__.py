"""Losses: pure functions of embeddings, one family in each file."""

from sv.losses.adaptive_margin import AdaptiveMargin
from sv.losses.angular import angular_contrastive_loss, angular_pair_loss
from sv.losses.bootstrap import byol_loss, simsiam_loss
from sv.losses.composed import COMPOSITIONS, label_efficient_loss
from sv.losses.contrastive import moco_nce, nt_xent
from sv.losses.decorrelation import barlow_twins_loss, vibcreg_loss, vicreg_loss
from sv.losses.distillation import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy
from sv.losses.mutual_information import lim_loss
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.supervised import aam_softmax, h_scl, supcon
from sv.losses.temperature import LearnableTemperature
from sv.losses.whitening import iterative_whitening, w_mse_loss, whiten

__all__ = [
    "cross_attention",
    "swav_loss",
    "COMPOSITIONS",
    "AdaptiveMargin",
    "view_cross_entropy",
    "vicreg_loss",
    "dino_loss",
    "separative_loss",
    "csl_scores",
    "sinkhorn",
    "byol_loss",
    "vibcreg_loss",
    "iterative_whitening",
    "whiten",
    "supcon",
    "simsiam_loss",
    "label_efficient_loss",
    "lim_loss",
    "nt_xent",
    "moco_nce",
    "update_center",
    "barlow_twins_loss",
    "w_mse_loss",
    "aam_softmax",
    "pit_loss",
    "h_scl",
    "angular_contrastive_loss",
    "LearnableTemperature",
    "angular_pair_loss",
]
