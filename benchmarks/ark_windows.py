"""Random row windows out of arks: this toolkit against kaldiio's range read."""

import tempfile
from pathlib import Path

import kaldiio
import numpy as np

from benchmarks.harness import Table, compare
from sv.kaldi.arks import ArkWriter, parse_location, read_scp
from sv.kaldi.windows import WindowReader

LENGTH, DIM, ROWS, BATCH = 200, 80, (600, 1000), 64


def benchmark(quick: bool) -> list[Table]:
    """200-row windows of 80-column matrices of about 800 rows, warm cache, one thread."""
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for form in ("FM", "CM2", "CM3", "CM"):
            tables.append(_compare(form, Path(folder), quick))
    return tables


def _compare(form: str, folder: Path, quick: bool) -> Table:
    generator = np.random.default_rng(0)
    matrices, windows = (60, 128) if quick else (400, 2048)
    scp = folder / f"{form}.scp"
    with ArkWriter(folder / f"{form}.ark", scp, form) as writer:
        for number in range(matrices):
            rows = generator.integers(*ROWS)
            writer.write(f"utt-{number:04}", generator.normal(-8, 4, (rows, DIM)))
    locations = list(read_scp(scp).values())
    offsets = np.array([parse_location(text).offset for text in locations])
    chosen = generator.integers(matrices, size=windows)
    starts = generator.integers(ROWS[0] - LENGTH, size=windows)
    requests = [
        f"{locations[c]}[{s}:{s + LENGTH - 1}]" for c, s in zip(chosen, starts, strict=True)
    ]
    reader = WindowReader([str(folder / f"{form}.ark")])
    out = np.empty((BATCH, LENGTH, DIM), np.float32)

    def ours():
        for first in range(0, windows, BATCH):
            part = slice(first, first + BATCH)
            reader.read(np.zeros(BATCH), offsets[chosen[part]], starts[part], LENGTH, out)

    def peer(files=None):
        for first in range(0, windows, BATCH):
            for place, request in enumerate(requests[first : first + BATCH]):
                out[place] = kaldiio.load_mat(request, fd_dict=files)

    files = {}
    peer()
    expected = out.copy()
    ours()
    error = float(np.abs(out - expected).max())
    return compare(
        f"{form}, windows {LENGTH} x {DIM}",
        {"kaldiio": peer, "kaldiio, file kept open": lambda: peer(files), "ours": ours},
        base="kaldiio",
        items=windows,
        unit="crops",
        rounds=3 if quick else 9,
        notes={"ours": f"largest difference {error:.1e}"},
    )
