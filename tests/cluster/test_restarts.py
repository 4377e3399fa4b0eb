"""k-means from several starts, and to convergence."""

import json

import numpy as np
import pytest
from cluster.test_kmeans import blobs

from sv.bin import cluster
from sv.cluster import best_of_starts, kmeans
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter


@pytest.mark.parametrize("spherical", [True, False])
def test_the_best_of_several_starts_counts(spherical):
    x, _ = blobs(clusters=8, each=12, dim=3, seed=3)
    how = {"iterations": 100, "converge": True, "spherical": spherical}
    runs = [kmeans(x, 8, seed=7 + number, **how) for number in range(5)]
    objectives = [run.objective for run in runs]
    best = max(objectives) if spherical else min(objectives)
    assert len(set(objectives)) > 1
    found = best_of_starts(x, 8, starts=5, seed=7, **how)
    assert found.objective == best
    assert np.array_equal(found.assignments, runs[objectives.index(best)].assignments)
    with pytest.raises(InputError, match="from 0 starts"):
        best_of_starts(x, 8, starts=0)


def test_it_stops_when_no_centroid_moves():
    x, _ = blobs(clusters=4, each=20, dim=5)
    found = kmeans(x, 4, init="k-means++", iterations=300, converge=True)
    assert 1 < len(found.history) < 50
    again = kmeans(x, 4, init=found.centroids, iterations=1)
    assert np.array_equal(again.assignments, found.assignments)
    np.testing.assert_allclose(again.centroids, found.centroids, atol=1e-6)
    assert len(kmeans(x, 4, init="k-means++", iterations=1, converge=True).history) == 1


def test_the_program_takes_starts_and_says_so(tmp_path):
    x, _ = blobs(clusters=4, each=5, dim=3)
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        for number, vector in enumerate(x):
            writer.write(f"u{number:02d}", vector)
    words = ["--embeddings", f"scp:{tmp_path / 'e.scp'}", "--k", "4", "--start", "k-means++"]
    words += ["--starts", "5", "--iterations", "300", "--converge", "true"]
    cluster.main([*words, "--out", str(tmp_path / "out")])
    record = json.loads((tmp_path / "out" / "cluster.json").read_text())
    text = json.dumps(record)
    assert '"starts": 5' in text and '"converge": true' in text
