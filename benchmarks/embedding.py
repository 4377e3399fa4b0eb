"""Embedding whole utterances by ECAPA-TDNN with 512 channels: float32 against bfloat16.

Processor time of one thread, for batches of whole utterances by frames. The allocator settings of
``path.sh`` count: start this with and without them.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Table, compare
from sv.crops.index import TrainingIndex
from sv.encoders import ENCODERS, build_encoder
from sv.inference.embed_batches import batches_by_length, read_whole
from sv.inference.embedder import Embedder
from sv.kaldi.arks import ArkWriter

MEL = 80


def model(channels: int) -> Embedder:
    """Return an ECAPA-TDNN with random weights and statistics that are not trivial."""
    torch.manual_seed(0)
    config = ENCODERS["ecapa"][1](mel_bins=MEL, channels=channels)
    encoder = build_encoder(config)
    for module in encoder.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return Embedder({"encoder": encoder.state_dict(), "model": vars(config), "normalise": "mean"})


def write(folder: Path, count: int) -> TrainingIndex:
    """Write utterances of 4 to 12 s."""
    rng, counts = np.random.default_rng(0), []
    with ArkWriter(folder / "feats.ark", folder / "feats.scp", "CM2") as writer:
        for number in range(count):
            frames = int(rng.integers(400, 1200))
            writer.write(f"utt{number:03d}", rng.standard_normal((frames, MEL), np.float32))
            counts.append(f"utt{number:03d} {frames}\n")
    (folder / "utt2num_frames").write_text("".join(counts))
    return TrainingIndex.load(folder)


def benchmark(quick: bool) -> list[Table]:
    """Embedding: ECAPA-TDNN on whole utterances, float32 against bfloat16."""
    torch.set_num_threads(1)
    embedder = model(64 if quick else 512)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = write(folder, 6 if quick else 12)

        batches = [
            read_whole(index, rows, embedder.encoder.min_frames, pin=False)
            for rows in batches_by_length(index.lengths, 8000)
        ]
        made = {}

        def run(name: str, dtype: torch.dtype | None) -> Callable[[], None]:
            def call() -> None:
                embedder.dtype = dtype
                made[name] = torch.cat([embedder(*batch.to("cpu")) for batch in batches])

            return call

        types = {"float32": None, "bfloat16": torch.bfloat16}
        runs = {name: run(name, dtype) for name, dtype in types.items()}
        seconds = float(index.lengths.sum()) * index.row_seconds
        words = {"items": seconds, "unit": "s of speech", "rounds": 2 if quick else 3}
        table = compare("ECAPA-TDNN", runs, base="float32", **words, clock=time.process_time)
        apart = 1 - torch.cosine_similarity(*made.values())
        table.notes.append(f"largest 1 - cosine of bfloat16: {float(apart.max()):.1e}")
        return [table]
