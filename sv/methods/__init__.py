"""The training methods, self-supervised and (if ``needs_labels``) supervised, one in each file.

A method is a ``sv.methods.base.Method``: networks, the crops that it needs, and
``training_step(views) -> (loss, stats)``. A line in ``METHODS`` makes it known to configurations.
"""

from sv.encoders.base import Encoder
from sv.methods.acsg import ACSG, ACSGConfig
from sv.methods.angular_supcon import (
    AngularSupCon,
    AngularSupConConfig,
    SupConAAM,
    SupConAAMConfig,
)
from sv.methods.base import Facts, Method, MethodConfig
from sv.methods.byol import BYOL, BYOLConfig
from sv.methods.ca_dino import CADINO, CADINOConfig
from sv.methods.classify import Classify, ClassifyConfig
from sv.methods.csc import CSC, CSCConfig, SupervisedCSC, SupervisedCSCConfig
from sv.methods.dino import DINO, DINOConfig
from sv.methods.moco import MoCo, MoCoConfig
from sv.methods.moco_c3 import MoCoC3, MoCoC3Config
from sv.methods.moco_proto import MoCoProto, MoCoProtoConfig
from sv.methods.simclr import SimCLR, SimCLRConfig
from sv.methods.supcon import HSCL, HSCLConfig, SupCon, SupConConfig
from sv.methods.swav import SwAV, SwAVConfig
from sv.methods.vicreg import VICReg, VICRegConfig

METHODS: dict[str, tuple[type[Method], type[MethodConfig]]] = {
    "simclr": (SimCLR, SimCLRConfig),
    "moco": (MoCo, MoCoConfig),
    "dino": (DINO, DINOConfig),
    "byol": (BYOL, BYOLConfig),
    "vicreg": (VICReg, VICRegConfig),
    "swav": (SwAV, SwAVConfig),
    "supcon": (SupCon, SupConConfig),
    "h_scl": (HSCL, HSCLConfig),
    "aam": (Classify, ClassifyConfig),
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

    facts: what is known of the training set; nothing by default.
    """
    method, _ = METHODS[config.name]
    return method(encoder, config, facts or Facts())
