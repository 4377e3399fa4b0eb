"""What a row of egs/voxceleb is: all of its settings, its schedules, and its shapes in miniature.

tests/published_rows.json keeps it, so that a changed default, or a file of settings that others are
based on, cannot alter a row unseen. After a change that is meant to, write the record anew:

    PYTHONPATH=.:tests python tests/published_rows.py

and read what has changed with git diff.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from sv.crops.noises import NoiseBank
from sv.crops.wave_index import load_index
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.methods import METHODS
from sv.sampling.chns import SpeakerBatches
from sv.training.experiment import Experiment
from sv.training.optim import learning_rate
from sv.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "published_rows.json"
ROWS = sorted(
    str(path.relative_to(ROOT / "egs" / "voxceleb"))
    for version in ("v1", "v2", "v3")
    for path in (ROOT / "egs" / "voxceleb" / version / "conf").glob("*.yaml")
)
UTTERANCES, FRAMES = 16, 100
SMALL = {
    "ecapa": ["model.channels=16", "model.pooled_channels=16", "model.embedding_dim=16"],
    "resnet": ["model.channels=[16, 16, 16, 16]", "model.embedding_dim=16"],
    "simclr": [],
    "moco": ["method.queue_size=12"],
    "moco_proto": ["method.queue_size=12", "method.clusters=[3, 5]"],
    "dino": ["method.hidden=[8, 8]", "method.bottleneck=4", "method.outputs=12"],
    "rdino": ["method.hidden=[8, 8]", "method.bottleneck=4", "method.outputs=12"],
    "sdpn": ["method.hidden=[8]", "method.bottleneck=4", "method.prototypes=6"],
    "barlow_twins": ["method.projector=[8, 8, 4]"],
    "byol": ["method.projector=[8, 4]", "method.predictor=[8]"],
    "simsiam": ["method.projector=[8, 4]", "method.predictor=[8]"],
    "moco_c3": ["method.queue_size=12", "method.clusters=[3, 5]"],
    "ca_dino": [
        *("method.hidden=[8, 8]", "method.bottleneck=4", "method.outputs=12"),
        *("method.utterance_clusters=4", "method.global_seconds=0.8"),
    ],
    "vicreg": ["method.projector=[8, 8, 4]"],
    "vibcreg": ["method.projector=[8, 8, 4]", "method.groups=2"],
    "w_mse": ["method.projector=[8, 2]", "method.whitening_size=4"],
    "label_efficient": ["method.projector=[8, 4]"],
    "angular": ["method.projector=[8, 4]"],
    "lim": ["method.projector=[8, 4]"],
    "cpc": ["method.context=4"],
    "deepcluster": ["method.projector=[8, 4]", "method.clusters=[3, 3, 3]"],
    "swav": ["method.projector=[8, 8, 4]", "method.prototypes=6", "method.queue_size=12"],
}
"""What makes an encoder and a method small; all else is of the row."""


def settings(row: str) -> Experiment:
    """Return the settings of a row."""
    return Experiment.load(ROOT / "egs" / "voxceleb" / row)


def miniature(row: str) -> Experiment:
    """Return the settings of a row with small sizes."""
    whole = settings(row)
    method, model = whole.method.name, whole.model.name
    small = [*SMALL["ecapa" if model == "ecapa" else "resnet"], *SMALL.get(method, [])]
    if method == "simclr" and whole.method.projector:
        small.append("method.projector=[8, 4]")
    if method in ("dino", "rdino", "sdpn"):
        small.append("method.global_seconds=0.8")
    small += ["data.crop_seconds=0.4", "train.batch_size=8", "train.workers=0"]
    small += ["train.precision=float32", "batches.samples_per_epoch=0"]
    if METHODS[method][0].needs_labels:
        small.append("train.batch_size=4")
    return Experiment.load(ROOT / "egs" / "voxceleb" / row, small)


def one_step(row: str, features: Path) -> dict:
    """Train a row in miniature for a step; return shapes and what moved."""
    experiment = miniature(row)
    index = load_index(features, experiment.data.domain, experiment.data.preset)
    wave = experiment.data.domain == "wave"
    rooms = (
        WaveRooms(torch.rand(3, 800))
        if wave
        else RoomBank(torch.rand(3, 5, settings(row).model.mel_bins))
    )
    augmented = experiment.augment.noise_probability > 0
    kinds = {"noise": np.array([0, 1]), "music": np.array([2]), "speech": np.array([3, 4])}
    supervised = METHODS[experiment.method.name][0].needs_labels
    labels = np.arange(UTTERANCES) // 2 if supervised else None
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            experiment,
            index,
            folder,
            noises=NoiseBank(index, kinds) if augmented else None,
            rooms=rooms if augmented else None,
            labels=labels,
            batches=SpeakerBatches(labels, 4, seed=0) if supervised else None,
        )
        batch = trainer.source[0, 0]
        trainer.train_step(batch)
    loss = float(trainer.state.totals["loss"])
    assert np.isfinite(loss)
    method = trainer.method
    return {
        "crops": {name: list(crops.signal.shape) for name, crops in batch.crops.items()},
        "draws": {
            name: [draw for draw, value in vars(crops.draws).items() if value is not None]
            for name, crops in batch.crops.items()
        },
        "weights": sum(weight.numel() for weight in method.parameters()),
        "buffers": sum(buffer.numel() for buffer in method.buffers()),
        "positive": [] if supervised else list(method.positive_shape),
    }


def describe(row: str, features: Path) -> dict:
    """Return the record of a row: {group of settings, or rates, or step: {name: value}}."""
    whole = settings(row)
    epochs = whole.train.epochs
    moments = [0, 1, 5, 10, epochs // 2, whole.train.until - 1, epochs - 1]
    rates = [round(learning_rate(whole.optim, epoch + 0.5, epochs), 9) for epoch in moments]
    return {
        **whole.to_dict(),
        "rates": {str(epoch): rate for epoch, rate in zip(moments, rates, strict=True)},
        "step": one_step(row, features),
    }


def write_features(folder: Path, bands: int) -> Path:
    """Write the features and the waveforms of a small training set."""
    from sv.kaldi.arks import ArkWriter

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
        for number in range(UTTERANCES):
            matrix = rng.standard_normal((FRAMES, bands)).astype(np.float32)
            writer.write(f"utt{number:02d}", matrix)
    counts = [f"utt{number:02d} {FRAMES}\n" for number in range(UTTERANCES)]
    (folder / "utt2num_frames").write_text("".join(counts))
    samples = 160 * FRAMES + 240
    with ArkWriter(folder / "wav.ark", folder / "wav_ark.scp") as writer:
        for number in range(UTTERANCES):
            waveform = 0.1 * rng.standard_normal(samples)
            writer.write_waveform(f"utt{number:02d}", waveform, 16000)
    counts = [f"utt{number:02d} {samples}\n" for number in range(UTTERANCES)]
    (folder / "utt2num_samples").write_text("".join(counts))
    return folder


def main() -> None:
    """Write the record of all rows."""
    with tempfile.TemporaryDirectory() as folder:
        features = {n: write_features(Path(folder) / str(n), n) for n in (40, 80)}
        record = {row: describe(row, features[settings(row).model.mel_bins]) for row in ROWS}
    lines = [
        json.dumps(row)
        + ": {\n"
        + ",\n".join(f" {json.dumps(part)}: {json.dumps(values)}" for part, values in parts.items())
        + "\n}"
        for row, parts in record.items()
    ]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
