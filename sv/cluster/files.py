"""The files that stage 4 writes about clusters, and the lines that it prints."""

import json
from pathlib import Path

import numpy as np
import torch

from sv.cluster.agglomerate import merge
from sv.cluster.lloyd import Clustering
from sv.data.labels import read_label_file
from sv.data.replaced import write_table
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.arks import ArkWriter

BAR = 40


class Result:
    """Clusters of utterances, after k-means and perhaps merging.

    Attributes: ``ids`` of the utterances; ``clusters`` (N,), the cluster of each utterance;
    ``centroids`` (clusters, D) of length one; ``sizes`` (clusters,); ``merged`` (k,), the cluster
    of each k-means cluster, or None; ``oracle`` figures, or None.
    """

    def __init__(self, ids: list[str], found: Clustering, settings: dict) -> None:
        self.ids, self.found, self.settings = ids, found, settings
        self.clusters, self.centroids, self.sizes = found.assignments, found.centroids, found.sizes
        self.merged: np.ndarray | None = None
        self.oracle: dict[str, float] | None = None

    def merge(self, m: int, linkage: str, device: torch.device) -> None:
        """Merge to ``m`` clusters; a new centroid is the mean of the old ones, weighted by size."""
        means = self.centroids * self.found.closeness[:, None]
        self.merged = merge(means, self.sizes, m, linkage=linkage, device=device, verbose=True)
        sums = np.zeros((m, means.shape[1]))
        np.add.at(sums, self.merged, means * self.sizes[:, None])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        self.centroids = (sums / np.maximum(lengths, 1e-30)).astype(np.float32)
        self.clusters = self.merged[self.clusters]
        self.sizes = np.bincount(self.clusters, minlength=m)

    def summary(self) -> dict:
        """Return the contents of ``cluster.json``."""
        filled = self.sizes[self.sizes > 0]
        text = {
            **self.settings,
            "utterances": len(self.ids),
            "clusters": len(self.sizes),
            "mean_cosine": self.found.objective,
            "mean_cosine_by_iteration": self.found.history,
            "empty_clusters_of_kmeans": self.found.empty,
            "single_utterances": int((self.sizes == 1).sum()),
            "size_median": float(np.median(filled)),
            "size_max": int(filled.max()),
        }
        if self.oracle is not None:
            text["oracle_never_for_training"] = self.oracle
        return text

    def describe(self) -> str:
        """Return the histogram of sizes and one or two lines of figures, for the terminal."""
        lines = histogram(self.sizes)
        line = (
            f"{len(self.ids):,} utterances in {int((self.sizes > 0).sum()):,} clusters, median "
            f"size {np.median(self.sizes[self.sizes > 0]):g}, mean cosine to the centroid of "
            f"k-means {self.found.objective:.4f}"
        )
        if self.found.empty:
            line += f"; {self.found.empty:,} clusters of k-means are empty"
        lines.append(line)
        if self.oracle is not None:
            figures = ", ".join(
                f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in self.oracle.items()
            )
            lines.append(f"ORACLE, from true speakers, never for training: {figures}")
        return "\n".join(lines)


def histogram(sizes: np.ndarray) -> list[str]:
    """Return a line for sizes 0, 1, 2-3, 4-7, ..., each with a number of clusters and a bar."""
    octaves = np.where(sizes > 0, np.floor(np.log2(np.maximum(sizes, 1))) + 1, 0).astype(int)
    counts = np.bincount(octaves)
    first = int(np.flatnonzero(counts)[0])
    lines = ["size of clusters: number of them"]
    for octave in range(first, len(counts)):
        low, high = (0, 0) if octave == 0 else (1 << (octave - 1), (1 << octave) - 1)
        name = f"{low}" if low == high else f"{low}-{high}"
        bar = "#" * round(BAR * counts[octave] / counts.max())
        lines.append(f"  {name:>15}  {counts[octave]:>9,}  {bar}".rstrip())
    return lines


def read_labels(path: Path, ids: list[str]) -> dict[str, str]:
    """Return the true speakers of those ``ids`` that have a label.

    Raises:
        InputError: no id has a label.
    """
    table = read_label_file(path)
    labels = {name: table[name] for name in ids if name in table}
    if not labels:
        raise InputError(
            f"{path}: labels none of the {len(ids):,} utterances, of which the first is "
            f"'{ids[0]}'; is it the file of another set?"
        )
    return labels


def oracle(clusters: np.ndarray, ids: list[str], labels: dict[str, str]) -> dict[str, float]:
    """Return the agreement of clusters with speakers, over the utterances that have a speaker."""
    from sv.cluster.agreement import agreement  # imported only if there are labels

    rows = [row for row, name in enumerate(ids) if name in labels]
    speakers = np.array([labels[ids[row]] for row in rows])
    figures = agreement(clusters[rows], speakers)
    return {"utterances": len(rows), "speakers": len(set(labels.values())), **figures}


def write(folder: Path, result: Result) -> None:
    """Write each table atomically, ``cluster.json`` last."""
    with ArkWriter(folder / "centroids.ark", folder / "centroids.scp") as writer:
        for cluster, centroid in enumerate(result.centroids):
            writer.write(str(cluster), centroid)
    tables = {"utt2cluster": zip(result.ids, result.clusters, strict=True)}
    tables["sizes"] = enumerate(result.sizes)
    if result.merged is None:
        (folder / "kmeans2cluster").unlink(missing_ok=True)  # from an earlier run
    else:
        tables["kmeans2cluster"] = enumerate(result.merged)
    for name, rows in tables.items():
        write_table(folder / name, rows, in_order=True)
    with atomic_write(folder / "cluster.json") as handle:
        json.dump(result.summary(), handle, indent=2)
        handle.write("\n")
