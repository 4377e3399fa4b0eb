"""Labels in training: true speakers, and batches of distinct speakers.

Only this part of training opens labels, and only for methods that need them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sv.crops.index import TrainingIndex
from sv.data.labels import numbered_labels, read_label_file
from sv.errors import InputError
from sv.kaldi.arks import load_vectors
from sv.methods import METHODS
from sv.sampling.chns import SpeakerBatches, SpeakerClusters
from sv.sampling.voiceprints import Recluster
from sv.training.build import build_front_end
from sv.training.experiment import Experiment


@dataclass
class Supervision:
    """Speakers of the utterances (N,) as numbers, and batches of distinct speakers or None."""

    labels: np.ndarray
    batches: SpeakerBatches | None = None

    def describe(self) -> str:
        """Return one or two sentences that describe the batches."""
        batches = self.batches
        if batches is None:
            return "an ablation: true speakers decide which utterances are positives or negatives"
        text = f"{batches.speakers:,} speakers, {batches.batch_size} in a batch"
        if batches.hard:
            largest = batches.clusters.sizes.max()
            text += (
                f", {batches.hard} of them from clusters ({len(batches.clusters.sizes)} clusters, "
                f"the largest of {largest} speakers)"
            )
        single = int((batches.counts == 1).sum())
        if single:
            text += f"\n{single:,} speakers have one utterance: their positives are two crops of it"
        return text


def supervise(
    settings: Experiment,
    index: TrainingIndex,
    *,
    labels: Path | None,
    clusters: Path | None = None,
    device: torch.device | str = "cpu",
) -> Supervision | None:
    """Return what the method needs of true speakers; None, and no file is opened, if nothing.

    Parameters
    ----------
    labels: ``utt2spk`` of the training set.
    clusters: folder of stage 4 with ``utt2cluster`` of the speakers and their centroids.

    Raises:
        InputError: labels or clusters are needed and not given, or do not fit the training set.
    """
    how, name = settings.batches, settings.method.name
    supervised = METHODS[name][0].needs_labels
    ablation = _ablation(settings)
    if not supervised and ablation is None:
        if how.hard_ratio > 0:
            raise InputError(
                f"batches.hard_ratio is for methods that know the speakers, {name} does not"
            )
        return None
    if labels is None:
        raise InputError(_missing_labels(name, None if supervised else ablation))
    speakers, numbers = numbered_labels(labels, index.ids(slice(None)))
    if len(speakers) < 2:
        raise InputError(f"{labels}: has one speaker only; there is nothing to tell apart")
    if not supervised or METHODS[name][0].labels_are == "clusters":
        return Supervision(numbers)
    of_speakers = None if clusters is None else read_clusters(clusters, speakers)
    return Supervision(numbers, _batches(settings, index, numbers, of_speakers, device))


def _ablation(settings: Experiment) -> str | None:
    """Return the setting by which a method without labels is told the true speakers, if any."""
    if settings.method.drop_collisions:
        return "method.drop_collisions"
    if settings.ssps.enabled and settings.ssps.neighbours == "speakers":
        return "ssps.neighbours = speakers"
    return None


def _missing_labels(name: str, ablation: str | None) -> str:
    """Return what to do if ``--labels`` is missing; ``ablation``: the setting that needs it."""
    if ablation is not None:
        return (
            f"{ablation} is an ablation that knows the true speakers: give --labels, the utt2spk "
            "of the training set, or leave it out"
        )
    return (
        f"method {name} learns from true speakers: give --labels, the utt2spk of the training "
        "set (stage 0 writes data/labels/train/utt2spk where the corpus has speakers), or "
        "choose a method without labels, such as simclr"
    )


def _batches(
    settings: Experiment,
    index: TrainingIndex,
    numbers: np.ndarray,
    clusters: SpeakerClusters | None,
    device: torch.device | str,
) -> SpeakerBatches:
    """Return batches of distinct speakers; ``numbers`` (N,) are those of the utterances."""
    how, front_end = settings.batches, build_front_end(settings, index)
    recluster = Recluster(index, numbers, front_end, how.clusters, settings.train.seed, device)
    return SpeakerBatches(
        numbers,
        settings.train.batch_size,
        seed=settings.train.seed,
        samples=how.samples_per_epoch,
        clusters=clusters,
        ratio=how.hard_ratio,
        further=how.further,
        recluster=recluster,
        refresh_every=how.refresh_every,
    )


def read_clusters(folder: Path, speakers: list[str]) -> SpeakerClusters:
    """Read the clusters of ``speakers`` and the centroids, written by ``sv.bin.cluster``.

    Raises:
        InputError: a file is missing or damaged, or a speaker is in no cluster.
    """
    path = Path(folder) / "utt2cluster"
    if not path.is_file():
        raise InputError(f"{path}: there are no clusters of speakers: run stage 4")
    clusters = read_label_file(path)
    missing = [name for name in speakers if name not in clusters]
    if missing:
        raise InputError(
            f"{path}: {len(missing):,} of {len(speakers):,} training speakers are in no cluster, "
            f"the first is {missing[0]!r}: make the clusters again for this training set (stage 4)"
        )
    scp = path.with_name("centroids.scp")
    names, centroids = load_vectors(f"scp:{scp}")
    row = {name: number for number, name in enumerate(names)}
    unknown = {clusters[name] for name in speakers} - row.keys()
    if unknown:
        raise InputError(f"{scp}: has no centroid of cluster {min(unknown)}: run stage 4 again")
    return SpeakerClusters(np.array([row[clusters[name]] for name in speakers]), centroids)
