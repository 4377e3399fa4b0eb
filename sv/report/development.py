"""The equal error rate of a network in training on a development set."""

from pathlib import Path
from typing import Any

import torch

from sv.data.trials import read_trials
from sv.inference.embed import embed_here
from sv.inference.embedder import Embedder
from sv.scoring.cosine import Cosine
from sv.scoring.metrics import eer
from sv.scoring.pairs import prepare_sides, score_sides


class DevelopmentSet:
    """Speakers who are not in the training set.

    index: of their features, as ``sv.crops.wave_index.load_index`` returns it. trials: their list.
    """

    def __init__(self, index, trials: str | Path):
        self.index, self.trials = index, read_trials(trials)
        self.labels = self.trials.require_both_classes()

    def __call__(self, model: dict[str, Any], device: torch.device | str) -> dict[str, float]:
        """Return ``dev_eer``, a share in [0, 1], of the cosines of a model (``Embedder``)."""
        embedder = Embedder(model)
        embedder.require_features(self.index)
        embedder.to(device)
        ids = list(self.index.ids(slice(None)))
        embeddings = (ids, embed_here(embedder, self.index, device))
        sides = prepare_sides(self.trials, Cosine(), embeddings)
        return {"dev_eer": eer(score_sides(sides), self.labels)}
