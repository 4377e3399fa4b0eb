"""Whole matrices and vectors: encoded and decoded by kaldiio and by this toolkit.

Our compressed bytes are Kaldi's (`tests/kaldi/test_arks.py`), so the share of matrices that kaldiio
codes otherwise is its share of bytes that are not Kaldi's.
"""

import io
import tempfile
import time
from pathlib import Path

import kaldiio
import numpy as np

from benchmarks.harness import Table, compare
from sv.kaldi.arks import ArkWriter, parse_location, read_ark, read_matrix, read_scp, read_vector
from sv.kaldi.compression import encode

DIM, ROWS = 80, (600, 1000)
METHODS = {"CM": 2, "CM2": 3, "CM3": 5}


def benchmark(quick: bool) -> list[Table]:
    """Matrices of some 800 x 80 and vectors of 512, one thread; processor time, not wall time."""
    count = 20 if quick else 200
    generator = np.random.default_rng(0)
    matrices = [
        generator.normal(-8, 4, (generator.integers(*ROWS), DIM)).astype(np.float32)
        for _ in range(count)
    ]
    vectors = [generator.normal(size=512).astype(np.float32) for _ in range(count)]
    rounds = 3 if quick else 9
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for form in ("FM", "DM", "CM2", "CM3", "CM"):
            tables.append(_reading(form, matrices, Path(folder), rounds))
        tables.append(_reading("FV", vectors, Path(folder), rounds))
    return tables + [_encoding(form, matrices[: max(5, count // 10)], rounds) for form in METHODS]


def _reading(form: str, arrays: list[np.ndarray], folder: Path, rounds: int) -> Table:
    ark, scp = folder / f"{form}.ark", folder / f"{form}.scp"
    if form == "DM":
        doubles = {f"u{n}": array.astype(np.float64) for n, array in enumerate(arrays)}
        kaldiio.save_ark(str(ark), doubles, scp=str(scp))
    else:
        with ArkWriter(ark, scp, None if form in ("FM", "FV") else form) as writer:
            for number, array in enumerate(arrays):
                writer.write(f"u{number}", array)
    texts = list(read_scp(scp).values())
    places = [parse_location(text) for text in texts]
    read = read_vector if form == "FV" else read_matrix
    largest = max(
        float(np.abs(read(place) - kaldiio.load_mat(text)).max())
        for place, text in zip(places[:20], texts[:20], strict=True)
    )
    return compare(
        f"{form}, read whole",
        {
            "kaldiio, one by one": lambda: [
                np.asarray(kaldiio.load_mat(text), np.float32) for text in texts
            ],
            "ours, one by one": lambda: [read(place) for place in places],
            "kaldiio, in turn": lambda: [
                np.asarray(array, np.float32) for _, array in kaldiio.load_ark(str(ark))
            ],
            "ours, in turn": lambda: [array for _, array in read_ark(ark)],
        },
        base="kaldiio, in turn",
        items=len(arrays),
        unit="arrays",
        rounds=rounds,
        clock=time.thread_time,
        notes={"ours, in turn": f"largest difference {largest:.1e}"},
    )


def _encoding(form: str, matrices: list[np.ndarray], rounds: int) -> Table:
    def theirs(matrix: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        kaldiio.save_mat(buffer, matrix, compression_method=METHODS[form])
        return buffer.getvalue()

    other = sum(theirs(matrix) != b"\0B" + encode(matrix, form) for matrix in matrices)
    return compare(
        f"{form}, encoded",
        {
            "kaldiio": lambda: [theirs(matrix) for matrix in matrices],
            "ours": lambda: [encode(matrix, form) for matrix in matrices],
        },
        base="kaldiio",
        items=len(matrices),
        unit="matrices",
        rounds=rounds,
        clock=time.thread_time,
        notes={"kaldiio": f"other bytes in {other} of {len(matrices)}"},
    )
