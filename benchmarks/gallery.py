"""Identification among known speakers: a gallery file against a loop over its speakers."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Table, compare
from sv.inference.gallery import Gallery, Speaker, _write
from sv.inference.model_dir import CosineCalibration


def make(path: Path, speakers: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    names = {f"speaker {number}": Speaker(1, 5.0, "2026-01-01") for number in range(speakers)}
    _write(path, "a" * 64, names, rng.standard_normal((speakers, dim)).astype(np.float32))


def loop(gallery: Gallery, voice: np.ndarray) -> str:
    """The straightforward way: a cosine for each speaker."""

    def cosine(a, b):
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    scores = {name: cosine(gallery.sums[n], voice) for n, name in enumerate(gallery.speakers)}
    return max(scores, key=scores.get)


def benchmark(quick: bool) -> list[Table]:
    """One voice among ten thousand names: reading the file, and the answer."""
    speakers, dim = (1_000 if quick else 10_000), 512
    voice = np.random.default_rng(1).standard_normal(dim).astype(np.float32)
    calibration = CosineCalibration(30.0, -10.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.safetensors"
        make(path, speakers, dim)
        gallery = Gallery.read(path)
        ways = {
            "loop over speakers, gallery in memory": lambda: loop(gallery, voice),
            "identify, gallery in memory": lambda: gallery.identify(voice, calibration),
            "read the file and identify": lambda: Gallery.read(path).identify(voice, calibration),
        }
        table = compare(
            f"one voice among {speakers:,} speakers, {dim} dimensions",
            ways,
            base="loop over speakers, gallery in memory",
            items=speakers,
            unit="speakers",
            rounds=3 if quick else 15,
        )
    return [table]
