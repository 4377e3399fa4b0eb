"""A memory with one embedding of every training utterance, and clusters of them.

SSPS samples positives by it, ProtoNCE and DeepCluster take its clusters for prototypes.
"""

import torch
from torch import Tensor, nn

from sv.cluster import kmeans
from sv.distributed import highest, rank, world_size
from sv.errors import InputError


def check_clusters(name: str, clusters: int, utterances: int) -> None:
    """Raise ``InputError`` if there are not fewer clusters (setting ``name``) than utterances."""
    if clusters >= utterances:
        raise InputError(
            f"{name} is {clusters} but the training set has {utterances} utterances: choose fewer "
            "clusters, one to four for each speaker"
        )


class References(nn.Module):
    """The newest embedding of each utterance that was seen, of unit length.

    They are kept in half precision: 1.1 GB instead of 2.2 for VoxCeleb2. A cosine moves by about
    1e-4, and k-means computes in float32. With several processes the memory is the same in all.

    references: (N, D); known: (N,) which of them have been seen.
    """

    def __init__(self, utterances: int, dim: int):
        super().__init__()
        self.register_buffer("references", torch.zeros(utterances, dim).half())
        self.register_buffer("known", torch.zeros(utterances, dtype=torch.bool))

    def store(self, utterances: Tensor, references: Tensor) -> None:
        """Remember embeddings (n, D) of unit length of the utterances (n,), those of all."""
        self.references[utterances] = references.to(self.references.dtype)
        self.known[utterances] = True

    def clusters_of(
        self, count: int, *, seed: int, name: str, spherical: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return centroids (count, D), and the cluster of each utterance (N,), −1 of unknown ones.

        Each process clusters a share of the memory.

        name: of the setting with the number of clusters, for the error.

        Raises:
            InputError: fewer utterances are known than there are to be clusters.
        """
        rows = self.known.nonzero().squeeze(1)
        if len(rows) <= count:
            raise InputError(
                f"{name} is {count}, but an epoch has seen {len(rows)} utterances only: choose "
                "fewer clusters or a smaller batch"
            )
        mine = rows.tensor_split(world_size())[rank()]
        found = kmeans(
            self.references[mine].float(),
            count,
            seed=seed,
            spherical=spherical,
            sharded=world_size() > 1,
        )
        device = self.references.device
        cluster = torch.full((len(self.known),), -1, device=device)
        cluster[mine] = torch.as_tensor(found.assignments).to(cluster)
        return torch.as_tensor(found.centroids).to(device), highest(cluster)
