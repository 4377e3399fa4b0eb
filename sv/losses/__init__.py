"""Losses: pure functions of embeddings, one family in each file."""

from sv.losses.adaptive_margin import AdaptiveMargin
from sv.losses.angular import angular_contrastive_loss, angular_pair_loss
from sv.losses.balance import mgda_weight
from sv.losses.bootstrap import byol_loss, simsiam_loss
from sv.losses.composed import COMPOSITIONS, label_efficient_loss
from sv.losses.contrastive import moco_nce, nt_xent
from sv.losses.decorrelation import barlow_twins_loss, rdino_regulariser, vibcreg_loss, vicreg_loss
from sv.losses.distillation import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy
from sv.losses.gated import gated_mean
from sv.losses.mutual_information import lim_loss
from sv.losses.proto_nce import concentration, proto_chance, proto_nce
from sv.losses.prototypes import (
    koleo_loss,
    mean_entropy_gap,
    prototype_logits,
    sharp_targets,
    target_cross_entropy,
)
from sv.losses.separative import cross_attention, csl_scores, pit_loss, separative_loss
from sv.losses.supervised import aam_logits, aam_softmax, class_cosines, h_scl, supcon
from sv.losses.temperature import LearnableTemperature
from sv.losses.whitening import iterative_whitening, w_mse_loss, whiten

__all__ = [
    "AdaptiveMargin",
    "COMPOSITIONS",
    "LearnableTemperature",
    "aam_logits",
    "aam_softmax",
    "angular_contrastive_loss",
    "angular_pair_loss",
    "barlow_twins_loss",
    "byol_loss",
    "class_cosines",
    "concentration",
    "cross_attention",
    "csl_scores",
    "dino_loss",
    "gated_mean",
    "h_scl",
    "iterative_whitening",
    "koleo_loss",
    "label_efficient_loss",
    "lim_loss",
    "mean_entropy_gap",
    "mgda_weight",
    "moco_nce",
    "nt_xent",
    "pit_loss",
    "proto_chance",
    "proto_nce",
    "prototype_logits",
    "rdino_regulariser",
    "separative_loss",
    "sharp_targets",
    "simsiam_loss",
    "sinkhorn",
    "supcon",
    "swav_loss",
    "target_cross_entropy",
    "update_center",
    "vibcreg_loss",
    "vicreg_loss",
    "view_cross_entropy",
    "w_mse_loss",
    "whiten",
]
