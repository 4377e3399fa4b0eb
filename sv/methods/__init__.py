"""The training methods, self-supervised and (if ``needs_labels``) supervised, one in each file.

A method is a ``sv.methods.base.Method``: networks, the crops that it needs, and
``training_step(views) -> (loss, stats)``. A line in ``METHODS`` registers it for configurations.
"""

from sv.encoders.base import Encoder
from sv.methods.aam_gated import GatedAAM, GatedAAMConfig
from sv.methods.acsg import ACSG, ACSGConfig
from sv.methods.angular import Angular, AngularConfig
from sv.methods.angular_supcon import (
    AngularSupCon,
    AngularSupConConfig,
    SupConAAM,
    SupConAAMConfig,
)
from sv.methods.barlow_twins import BarlowTwins, BarlowTwinsConfig
from sv.methods.base import Facts, Method, MethodConfig
from sv.methods.byol import BYOL, BYOLConfig
from sv.methods.ca_dino import CADINO, CADINOConfig
from sv.methods.classify import Classify, ClassifyConfig
from sv.methods.csc import CSC, CSCConfig, SupervisedCSC, SupervisedCSCConfig
from sv.methods.dino import DINO, DINOConfig
from sv.methods.label_efficient import LabelEfficient, LabelEfficientConfig
from sv.methods.lim import LIM, LIMConfig
from sv.methods.moco import MoCo, MoCoConfig
from sv.methods.moco_c3 import MoCoC3, MoCoC3Config
from sv.methods.moco_proto import MoCoProto, MoCoProtoConfig
from sv.methods.rdino import RDINO, RDINOConfig
from sv.methods.sdpn import SDPN, SDPNConfig
from sv.methods.simclr import SimCLR, SimCLRConfig
from sv.methods.simsiam import SimSiam, SimSiamConfig
from sv.methods.supcon import HSCL, HSCLConfig, SupCon, SupConConfig
from sv.methods.swav import SwAV, SwAVConfig
from sv.methods.vibcreg import VIbCReg, VIbCRegConfig
from sv.methods.vicreg import VICReg, VICRegConfig
from sv.methods.w_mse import WMSE, WMSEConfig

METHODS: dict[str, tuple[type[Method], type[MethodConfig]]] = {
    "simclr": (SimCLR, SimCLRConfig),
    "moco": (MoCo, MoCoConfig),
    "dino": (DINO, DINOConfig),
    "rdino": (RDINO, RDINOConfig),
    "sdpn": (SDPN, SDPNConfig),
    "byol": (BYOL, BYOLConfig),
    "simsiam": (SimSiam, SimSiamConfig),
    "barlow_twins": (BarlowTwins, BarlowTwinsConfig),
    "vicreg": (VICReg, VICRegConfig),
    "vibcreg": (VIbCReg, VIbCRegConfig),
    "w_mse": (WMSE, WMSEConfig),
    "label_efficient": (LabelEfficient, LabelEfficientConfig),
    "angular": (Angular, AngularConfig),
    "lim": (LIM, LIMConfig),
    "swav": (SwAV, SwAVConfig),
    "supcon": (SupCon, SupConConfig),
    "h_scl": (HSCL, HSCLConfig),
    "aam": (Classify, ClassifyConfig),
    "aam_gated": (GatedAAM, GatedAAMConfig),
    "csc": (CSC, CSCConfig),
    "csc_supervised": (SupervisedCSC, SupervisedCSCConfig),
    "acsg": (ACSG, ACSGConfig),
    "angular_supcon": (AngularSupCon, AngularSupConConfig),
    "supcon_aam": (SupConAAM, SupConAAMConfig),
    "moco_proto": (MoCoProto, MoCoProtoConfig),
    "ca_dino": (CADINO, CADINOConfig),
    "moco_c3": (MoCoC3, MoCoC3Config),
}
"""``method.name`` → (module, settings)."""


def build_method(encoder: Encoder, config: MethodConfig, facts: Facts | None = None) -> Method:
    """Return the method that ``config`` describes, around ``encoder``.

    facts: facts on the training set; by default it has no utterances and no speakers.
    """
    method, _ = METHODS[config.name]
    return method(encoder, config, facts or Facts())
