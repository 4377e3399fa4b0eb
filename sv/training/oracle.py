"""Figures from true labels for the log of a training that does not use labels."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sv.crops.index import TrainingIndex
from sv.data.labels import numbered_labels
from sv.sampling.ssps import SSPS


class Oracle:
    """True speakers and recording sessions of a training set, for judging sampled positives.

    speakers: (N,) numbers. sessions: (N,) numbers, or None if sessions are not known.
    """

    def __init__(self, speakers: np.ndarray, sessions: np.ndarray | None = None):
        self.speakers = torch.from_numpy(speakers)
        self.sessions = None if sessions is None else torch.from_numpy(sessions)
        self.copies: dict[torch.device, dict[str, Tensor]] = {}

    @classmethod
    def load(cls, folder: str | Path, index: TrainingIndex) -> "Oracle":
        """Read ``utt2spk`` and, if it exists, ``utt2session`` of a folder of labels."""
        folder = Path(folder)
        sessions = folder / "utt2session"
        return cls(
            numbers(folder / "utt2spk", index),
            numbers(sessions, index) if sessions.exists() else None,
        )

    def of_positives(self, ssps: SSPS, utterances: Tensor) -> dict[str, Tensor]:
        """Return the shares of anchors that got a positive of their speaker, and of their session.

        A useful positive is of the same speaker and of another session. ``accuracy`` divides these
        shares by the coverage.
        """
        chosen, found = ssps.chosen, ssps.chosen >= 0
        shares = {}
        for name, labels in self._labels_on(chosen.device).items():
            alike = found & (labels[utterances] == labels[chosen])
            shares[f"found_{name}"] = alike.float().mean()
        return shares

    def _labels_on(self, device: torch.device) -> dict[str, Tensor]:
        """Return the labels that are known, on a device; they are copied there once."""
        if device not in self.copies:
            known = {"speaker": self.speakers, "session": self.sessions}
            self.copies[device] = {k: v.to(device) for k, v in known.items() if v is not None}
        return self.copies[device]

    @staticmethod
    def accuracy(means: dict[str, float]) -> dict[str, float]:
        """Return the shares among the positives that were found, from the means of an epoch."""
        coverage = means.get("coverage", 0.0)
        return {
            name.replace("found", "oracle"): value / coverage
            for name, value in means.items()
            if name.startswith("found_") and coverage > 0
        }

    def of_clusters(self, ssps: SSPS) -> dict[str, float]:
        """Return the normalised mutual information of clusters and speakers."""
        cluster = ssps.cluster.cpu().numpy()
        rows = cluster >= 0
        if not rows.any():
            return {}
        from sklearn.metrics import normalized_mutual_info_score  # a second to import

        found = normalized_mutual_info_score(self.speakers.numpy()[rows], cluster[rows])
        return {"oracle_nmi": float(found)}


def numbers(path: Path, index: TrainingIndex) -> np.ndarray:
    """Return the labels of a training set's utterances as numbers (N,), from 0, in sorted order."""
    return numbered_labels(path, index.ids(slice(None)))[1]
