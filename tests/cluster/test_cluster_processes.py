"""Two processes with half of the points each find what one process finds."""

import subprocess
import sys

import numpy as np
import pytest

from sv.cluster import kmeans

pytestmark = pytest.mark.whole

WORKER = """
import sys
import numpy as np, torch.distributed as dist
from sv.cluster import kmeans
from sv.errors import InputError

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
x = np.load(f"{folder}/x.npy")
mine = x[:130] if rank == 0 else x[130:]
found = {}
for spherical in (True, False):
    for start in ("random", "k-means++"):
        result = kmeans(mine, 12, spherical=spherical, init=start, sharded=True, iterations=4)
        name = f"{spherical} {start}"
        found[name + " centroids"] = result.centroids
        found[name + " assignments"] = result.assignments
        found[name + " sizes"] = result.sizes
        found[name + " objective"] = result.objective
if rank == 1:
    mine[3] = 0
try:
    kmeans(mine, 12, sharded=True)
except InputError as error:
    found["error"] = str(error)
np.savez(f"{folder}/{rank}.npz", **found)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    x = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32) + 1
    np.save(folder / "x.npy", x)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(folder)], stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for process in processes:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors.decode()
    return x, np.load(folder / "0.npz"), np.load(folder / "1.npz")


@pytest.mark.parametrize("start", ["random", "k-means++"])
@pytest.mark.parametrize("spherical", [True, False])
def test_the_same_as_one_process(shards, spherical, start):
    x, *parts = shards
    alone = kmeans(x, 12, spherical=spherical, init=start, iterations=4)
    name = f"{spherical} {start} "
    for part in parts:
        np.testing.assert_allclose(part[name + "centroids"], alone.centroids, atol=1e-5)
        np.testing.assert_array_equal(part[name + "sizes"], alone.sizes)
        assert float(part[name + "objective"]) == pytest.approx(alone.objective, rel=1e-5)
    together = np.concatenate([part[name + "assignments"] for part in parts])
    np.testing.assert_array_equal(together, alone.assignments)


def test_all_stop_where_one_has_a_bad_point(shards):
    first, second = shards[1:]
    assert str(first["error"]).startswith("1 of 400 embeddings are zero")
    assert "row 133" in str(second["error"])
