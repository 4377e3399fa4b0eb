"""Losses: pure functions of embeddings, one family in each file."""

from sv.losses.adaptive_margin import AdaptiveMargin
from sv.losses.angular import angular_contrastive_loss, angular_pair_loss
from sv.losses.bootstrap import byol_loss, simsiam_loss
from sv.losses.composed import COMPOSITIONS, label_efficient_loss
from sv.losses.contrastive import moco_nce, nt_xent
from sv.losses.decorrelation import barlow_twins_loss, rdino_regulariser, vibcreg_loss, vicreg_loss
from sv.losses.distillation import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy
from sv.losses.mutual_information import lim_loss
from sv.losses.prototypes import (
    koleo_loss,
    mean_entropy_gap,
    prototype_logits,
    sharp_targets,
    target_cross_entropy,
)
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.supervised import aam_softmax, h_scl, supcon
from sv.losses.temperature import LearnableTemperature
from sv.losses.whitening import iterative_whitening, w_mse_loss, whiten

__all__ = [
    "w_mse_loss",
    "sinkhorn",
    "aam_softmax",
    "nt_xent",
    "vicreg_loss",
    "AdaptiveMargin",
    "swav_loss",
    "supcon",
    "label_efficient_loss",
    "iterative_whitening",
    "LearnableTemperature",
    "sharp_targets",
    "prototype_logits",
    "koleo_loss",
    "whiten",
    "update_center",
    "csl_scores",
    "angular_pair_loss",
    "rdino_regulariser",
    "pit_loss",
    "barlow_twins_loss",
    "vibcreg_loss",
    "h_scl",
    "byol_loss",
    "view_cross_entropy",
    "angular_contrastive_loss",
    "target_cross_entropy",
    "COMPOSITIONS",
    "cross_attention",
    "simsiam_loss",
    "lim_loss",
    "separative_loss",
    "mean_entropy_gap",
    "dino_loss",
    "moco_nce",
]
