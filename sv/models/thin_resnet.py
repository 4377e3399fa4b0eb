"""Thin ResNet-34: a quarter of ResNet-34's width, all of its resolution in the first stage.

Known as ResNetSE34 (Chung et al., "In defence of metric learning", Interspeech 2020, where Fast
ResNet-34 is the same with earlier strides): 1.4 M parameters, more than twice the time. Strides and
channel gates are from recollection of the published code, where versions differ.
"""

from dataclasses import dataclass, field

from sv.models.resnet import FastResNet34, FastResNet34Config


@dataclass
class ThinResNet34Config(FastResNet34Config):
    """Settings of a Thin ResNet-34; the defaults are the 1.4 M parameter network."""

    name: str = field(default="thin_resnet34", metadata={"help": "this encoder's name in ENCODERS"})


class ThinResNet34(FastResNet34):
    """As Fast ResNet-34, but the stem keeps all bands and the last stage has a stride."""

    stem_stride = (1, 1)
    strides = (1, 2, 2, 2)
