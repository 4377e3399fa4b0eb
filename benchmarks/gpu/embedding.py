"""Hours of speech that stage 6 embeds in a second, as the program does it."""

import dataclasses
import time

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.systems import encoders_of, trainer_of
from sv.inference.embed import embed
from sv.inference.embedder import Embedder

FRAMES_A_SECOND = 100
UTTERANCES = 4000


def measure_embedding(bench: Bench) -> None:
    """Embed whole utterances with each encoder."""
    allowed = torch.backends.cudnn.allow_tf32  # embedding forbids it, and steps come after it
    try:
        _measure(bench)
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def _measure(bench: Bench) -> None:
    for encoder in encoders_of(bench, "SimCLR"):
        trainer = trainer_of(bench, "SimCLR", encoder, "train.compile=false")
        settings, method = trainer.settings, trainer.method
        model = {
            "encoder": method.encoder.state_dict(),
            "model": dataclasses.asdict(settings.model),
            "normalise": settings.data.normalise,
        }
        embedder = Embedder(model)
        whole = bench.index()
        out = bench.folder / "vectors.ark", bench.folder / "vectors.scp"
        first = whole.select(slice(0, 8))
        embed(embedder, first, *out, device=bench.device)  # kernels are chosen
        index = whole.select(slice(0, UTTERANCES))
        start = time.perf_counter()
        embed(embedder, index, *out, device=bench.device)
        seconds = time.perf_counter() - start
        hours = float(index.lengths.sum()) / FRAMES_A_SECOND / 3600
        bench.add(
            "embedding",
            encoder=encoder,
            hours_of_speech=hours,
            hours_of_speech_per_second=hours / seconds,
        )
