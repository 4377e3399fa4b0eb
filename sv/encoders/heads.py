"""Small networks between an encoder and a loss; they are discarded after training."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def mlp(
    sizes: Sequence[int], norm: bool = True, activation: Callable[[], nn.Module] = _relu
) -> nn.Sequential:
    """Return linear layers of these ``sizes``, with batch norm and ReLU between them.

    ``mlp([512, 2048, 256])`` is the usual projector of SimCLR and VICReg: 512 -> 2048 -> 256, with
    no non-linearity after the last layer. ``norm=False`` leaves out the batch norms. If ``sizes``
    has one entry, the network is the identity, and the loss works on the embeddings themselves.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        if layers:
            layers += [nn.BatchNorm1d(inputs)] if norm else []
            layers += [activation()]
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


class UnitLinear(nn.Module):
    """A linear layer without bias whose rows have length 1: weight norm with the norm fixed at 1.

    If inputs have unit length, outputs are their cosines with ``outputs`` directions.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as torch does for nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs)`` to ``(batch, outputs)``."""
        return F.linear(x, F.normalize(self.weight))


class BottleneckHead(nn.Module):
    """An MLP with batch norm and GELU, whose outputs have unit length: 512 -> 2048 -> 2048 -> 256.

    sizes: from the embedding to the output.
    """

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        self.mlp = mlp(sizes, activation=nn.GELU)
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def bottleneck(self, embeddings: Tensor) -> Tensor:
        """Map ``(batch, embedding_dim)`` to ``(batch, bottleneck)``, rows of unit length."""
        return F.normalize(self.mlp(embeddings).float())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the same."""
        return self.bottleneck(embeddings)


class DinoHead(BottleneckHead):
    """An MLP with batch norm and GELU, a bottleneck of unit length, and many output directions.

    Caron et al. 2021 (arXiv 2104.14294), with the batch norms of the recipe for speakers:
    512 -> 2048 -> 2048 -> 256 -> L2 -> 65,536.

    Parameters
    ----------
    sizes: of the layers, from the embedding to the bottleneck.
    outputs: number of directions of the last layer.
    """

    def __init__(self, sizes: Sequence[int], outputs: int):
        super().__init__(sizes)
        self.last = UnitLinear(sizes[-1], outputs)

    def with_hidden(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs, and the rows (batch, size) of the last hidden layer before its norm."""
        hidden = self.mlp[:-3](embeddings)
        return self.last(F.normalize(self.mlp[-3:](hidden).float())), hidden

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``(batch, embedding_dim)`` to ``(batch, outputs)``."""
        return self.last(self.bottleneck(embeddings))
