"""Methods whose losses act on embeddings and on projections at once."""

import torch
from torch import Tensor

from sv.methods.base import Stats
from sv.methods.figures import pair_cosines
from sv.methods.siamese import Siamese


class BothSpaces(Siamese):
    """An output is an embedding, followed by its projection.

    So SSPS replaces both by those of one other recording.
    """

    @property
    def positive_shape(self) -> tuple[int, ...]:
        """An embedding and a projection."""
        return (self.encoder.embedding_dim + self.head_dim,)

    def outputs(self, embeddings: Tensor) -> Tensor:
        """Return embeddings and projections side by side, (batch, E + D)."""
        return torch.cat([embeddings, self.projector(embeddings)], dim=1)

    def pairs(
        self, anchor: Tensor, positive: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return (embeddings of both crops), (projections of both crops): (N, E) and (N, D)."""
        place = [self.encoder.embedding_dim]
        first, second = anchor.tensor_split(place, dim=1), positive.tensor_split(place, dim=1)
        return (first[0], second[0]), (first[1], second[1])

    def figures(self, anchor: Tensor, positive: Tensor, items: int) -> Stats:
        """Return cosines of the embeddings."""
        return pair_cosines(*self.pairs(anchor, positive)[0])
