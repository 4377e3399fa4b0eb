"""CA-DINO: DINO whose crops of an item come from several utterances of its cluster.

Han, Chen & Qian, "Self-supervised learning with cluster-aware-DINO for high-performance robust
speaker verification", 2023 (arXiv 2304.05754). Published: crops of one utterance overlap and share
its channel, so after some epochs the training set is clustered, and the crops of an item come from
several utterances of one cluster. When that is, how many clusters there are, and how crops are
dealt is a reconstruction:

    every ``recluster_every`` epochs   c = k-means of the teacher's embeddings of all utterances
    item of utterance u, group of n crops   crop 0 of u, crops 1…n−1 of other members of c(u)

So crop 0 of the long ones and crop 0 of the short ones are of u. Its nearest relative is SSPS with
M = 0 (`sv.sampling.ssps`), which takes positives of the cluster from a memory, not from new crops.
"""

from dataclasses import dataclass

from sv.config import option
from sv.methods.dino import DINO, DINOConfig


@dataclass
class CADINOConfig(DINOConfig):
    """Han, Chen & Qian 2023 (arXiv 2304.05754), on the DINO of arXiv 2505.14561."""

    name: str = option("ca_dino", "the method")
    utterance_clusters: int = option(
        7500,
        "K of k-means over all training utterances. Few clusters mix speakers, and the network "
        "learns that they are one; many keep the recordings of a speaker apart",
    )
    recluster_every: int = option(
        20,
        "number of epochs of DINO before the first clusters, and between two clusterings. If it "
        "is too small, the first clusters are of channels",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.utterance_clusters < 2 or self.recluster_every < 1:
            raise ValueError("utterance_clusters must be at least 2, recluster_every at least 1")


class CADINO(DINO):
    """DINO; the batches alone differ (`sv.sampling.cluster_batches`)."""
