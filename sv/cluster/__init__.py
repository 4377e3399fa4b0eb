"""Clusters embeddings without labels: k-means, merging, neighbours of clusters, a choice of K.

``agreement`` compares clusters with true speakers. It is for diagnosis only, so this package does
not import it: import ``sv.cluster.agreement`` by its name.
"""

from sv.cluster.agglomerate import merge
from sv.cluster.lloyd import Clustering, kmeans
from sv.cluster.neighbours import nearest_clusters
from sv.cluster.number import choose_k
from sv.cluster.restarts import best_of_starts

__all__ = ["Clustering", "best_of_starts", "choose_k", "kmeans", "merge", "nearest_clusters"]
