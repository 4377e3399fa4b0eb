"""Label-efficient training: InfoNCE keeps utterances apart, VICReg dimensions; both at once."""

from dataclasses import dataclass

from torch import Tensor

from sv.config import option
from sv.losses import COMPOSITIONS, label_efficient_loss
from sv.methods.base import Stats
from sv.methods.both_spaces import BothSpaces
from sv.methods.figures import pair_cosines
from sv.methods.vicreg import VICRegConfig


@dataclass
class LabelEfficientConfig(VICRegConfig):
    """Lepage & Dehak 2022 (arXiv 2207.05506), with the settings of their code of that time."""

    name: str = option("label_efficient", "the method")
    projector: list[int] = option(
        [2048, 2048, 2048], "sizes of layers between embedding and projection"
    )
    composition: int = option(
        2,
        "what the losses act on. 1: VICReg on embeddings, InfoNCE on projections; 2: the reverse, "
        "the published best; 3: both on embeddings, no projector; 4: both on projections. In 3 and "
        "4 VICReg weighs a tenth",
    )
    temperature: float = option(
        0.07,
        "τ of InfoNCE; 0.2 in the authors' later code. A small value weighs only the hardest "
        "negatives, a large value weighs all alike",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.composition not in COMPOSITIONS or self.temperature <= 0:
            raise ValueError("composition must be 1, 2, 3 or 4, temperature above 0")
        if self.composition == 3:
            self.projector = []


class LabelEfficient(BothSpaces):
    """The encoder and a projector, and a loss on the outputs of either."""

    def loss(self, anchor: Tensor, positive: Tensor) -> Tensor:
        """Return the sum of both losses."""
        c = self.config
        how = {"composition": c.composition, "temperature": c.temperature, **c.weights}
        return label_efficient_loss(*self.pairs(anchor, positive), **how)

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return cosines where InfoNCE acts, and the standard deviation where VICReg acts."""
        pairs, chosen = self.pairs(anchor, positive), COMPOSITIONS[self.config.composition]
        std = pairs[chosen.spread][0].float().std(dim=0).mean()
        return {**pair_cosines(*pairs[chosen.contrast]), "std": std}
