"""k-means against a naive loop in float64; bad input, starts, memory, kinds of arrays."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans, kmeans_plusplus

from sv.cluster import assign as assign_module
from sv.cluster import bounds as bounds_module
from sv.cluster import kmeans
from sv.cluster import lloyd as lloyd_module
from sv.cluster import points as points_module
from sv.cluster.assign import Nearest
from sv.errors import InputError


def blobs(clusters=12, each=40, dim=16, noise=0.3, shift=0.0, seed=0):
    """Return points (clusters * each, dim) float32 around random centres, and their clusters."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, dim))
    noise = noise * generator.standard_normal((clusters * each, dim))
    points = np.repeat(centres, each, axis=0) + noise + shift
    return points.astype(np.float32), np.repeat(np.arange(clusters), each)


def naive(x, centroids, iterations, spherical):
    """Return (centroids, assignments), one point and one cluster at a time, in float64."""
    x, centroids = x.astype(np.float64), centroids.astype(np.float64)
    if spherical:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        centroids = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)

    def assign():
        if spherical:
            return np.array([np.argmax([point @ c for c in centroids]) for point in x])
        return np.array([np.argmin([((point - c) ** 2).sum() for c in centroids]) for point in x])

    for _ in range(iterations):
        assignments = assign()
        for cluster in range(len(centroids)):
            members = x[assignments == cluster]
            if len(members):
                centroids[cluster] = members.mean(axis=0)
                if spherical:
                    centroids[cluster] /= np.linalg.norm(centroids[cluster])
    return centroids, assign()


@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn_from_the_same_start(seed):
    """Until nothing moves: neither its last assignment nor ours is a step behind."""
    x, _ = blobs(noise=0.5, seed=seed)
    start = x[::40]
    peer = KMeans(len(start), init=start, n_init=1, max_iter=100, tol=0, algorithm="lloyd").fit(x)
    found = kmeans(x, len(start), iterations=100, spherical=False, init=start)
    np.testing.assert_array_equal(found.assignments, peer.labels_)
    np.testing.assert_allclose(found.centroids, peer.cluster_centers_, atol=2e-5)
    assert found.objective == pytest.approx(peer.inertia_ / len(x), rel=1e-5)


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("iterations", [0, 1, 6])
def test_equals_a_naive_loop(spherical, iterations, monkeypatch):
    monkeypatch.setattr(points_module, "CPU_BLOCK", 100)  # several blocks, the last one short
    monkeypatch.setattr(assign_module, "TILE", 5)  # and several tiles
    x, _ = blobs(noise=1.0, shift=0 if spherical else 30)
    start = x[::31]
    found = kmeans(x, len(start), iterations=iterations, spherical=spherical, init=start)
    centroids, assignments = naive(x, start, iterations, spherical)
    np.testing.assert_allclose(found.centroids, centroids, atol=2e-5)
    np.testing.assert_array_equal(found.assignments, assignments)
    np.testing.assert_array_equal(found.sizes, np.bincount(assignments, minlength=len(start)))
    chosen = centroids[assignments]
    if spherical:
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        objective = (unit * chosen).sum(axis=1).mean()
    else:
        objective = ((x - chosen) ** 2).sum(axis=1).mean()
    assert found.objective == pytest.approx(objective, rel=1e-4)
    average = (found.closeness * found.sizes).sum() / len(x)
    assert average == pytest.approx(objective, rel=1e-4)
    members = x[assignments == 2]
    if spherical:
        members = members / np.linalg.norm(members, axis=1, keepdims=True)
        assert found.closeness[2] == pytest.approx((members @ centroids[2]).mean(), rel=1e-4)
    else:
        spread = ((members - centroids[2]) ** 2).sum(axis=1).mean()
        assert found.closeness[2] == pytest.approx(spread, rel=1e-4)
    assert len(found.history) == iterations


@pytest.mark.parametrize("spherical", [True, False])
def test_bfloat16_costs_next_to_nothing_and_the_last_pass_is_exact(spherical):
    x, _ = blobs(clusters=30, noise=1.0, dim=64, shift=0 if spherical else 30)
    start = x[::20]
    options = {"spherical": spherical, "init": start}
    exact = kmeans(x, len(start), precision="float32", **options)
    rounded = kmeans(x, len(start), precision="bfloat16", **options)
    assert not np.array_equal(exact.centroids, rounded.centroids)  # it did round
    assert rounded.objective == pytest.approx(exact.objective, rel=0.01)
    _, assignments = naive(x, rounded.centroids, 0, spherical)
    np.testing.assert_array_equal(rounded.assignments, assignments)


@pytest.mark.parametrize("spherical", [True, False])
def test_bfloat16_finds_nearly_the_nearest(spherical):
    generator = torch.Generator().manual_seed(0)
    rows, centroids = torch.randn(2, 300, 32, generator=generator).unbind()
    if spherical:
        rows, centroids = (torch.nn.functional.normalize(each) for each in (rows, centroids))
    exact = Nearest(centroids, spherical=spherical, dtype=torch.float32)(rows)[1]
    index, cost = Nearest(centroids, spherical=spherical, dtype=torch.bfloat16)(rows)
    if spherical:
        true = 1 - (rows * centroids[index]).sum(dim=1)
    else:
        true = (rows - centroids[index]).square().sum(dim=1) / 2
    assert torch.allclose(cost, true, rtol=0.01, atol=0.004)
    assert ((true - exact) <= 0.01 * exact + 0.004).all()


def test_bfloat16_with_no_centroid_on_the_same_side():
    """The best cosine may be negative, where the order of bits is turned round."""
    rows = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [0.2, 1.0], [-1.0, -1.0]]))
    centroids = torch.nn.functional.normalize(torch.tensor([[-1.0, 0.0], [-0.1, -1.0]]))
    nearest = Nearest(centroids, spherical=True, dtype=torch.bfloat16)
    assert nearest(rows)[0].tolist() == (rows @ centroids.T).argmax(dim=1).tolist()


@pytest.mark.parametrize("start", ["random", "k-means++"])
def test_same_seed_same_result(start):
    x, _ = blobs(noise=1.0)
    first, second = (kmeans(x, 20, init=start, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.centroids, second.centroids)
    np.testing.assert_array_equal(first.assignments, second.assignments)
    assert not np.array_equal(first.centroids, kmeans(x, 20, init=start, seed=4).centroids)


def test_random_start_takes_different_points():
    x, _ = blobs()
    found = kmeans(x, len(x), iterations=0)
    assert found.empty == 0 and sorted(found.assignments) == list(range(len(x)))


@pytest.mark.parametrize(("clusters", "limit"), [(60, 1.25), (200, 1.6)])
@pytest.mark.whole
def test_plus_plus_spreads_the_start(clusters, limit):
    """One point at a time (60) it is as good as scikit-learn's; four at a time (200) not far."""
    x, _ = blobs(clusters=clusters, each=6, dim=32, noise=0.1)
    seeds = range(12)

    def mean_cost(starts):
        options = {"iterations": 0, "spherical": False}
        return np.mean([kmeans(x, clusters, init=start, seed=s, **options).objective
                        for s, start in zip(seeds, starts, strict=True)])  # fmt: skip

    ours = mean_cost(["k-means++" for _ in seeds])
    theirs = mean_cost(
        [kmeans_plusplus(x, clusters, random_state=s, n_local_trials=1)[0] for s in seeds]
    )
    assert ours < limit * theirs and ours < 0.5 * mean_cost(["random" for _ in seeds])


def test_plus_plus_with_fewer_different_points_than_clusters():
    x = np.repeat(np.eye(3, 8, dtype=np.float32), 4, axis=0)
    found = kmeans(x, 5, init="k-means++")
    assert found.objective == pytest.approx(1) and found.empty == 2


def test_an_empty_cluster_keeps_its_centroid_and_is_counted():
    x, _ = blobs(clusters=3, dim=4)
    start = np.concatenate([x[::40], -100 * np.ones((1, 4), np.float32)])
    found = kmeans(np.abs(x), 4, init=np.abs(start) * [[1], [1], [1], [-1]])
    assert found.empty == 1 and found.sizes[3] == 0
    np.testing.assert_allclose(found.centroids[3], -0.5 * np.ones(4), rtol=1e-6)


def test_every_point_has_a_say():
    """One far point among thousands moves its centroid: nothing is sampled away."""
    x = np.ones((5001, 2), np.float32)
    x[-1] = [1, 5001]
    found = kmeans(x, 1, spherical=False)
    np.testing.assert_allclose(found.centroids, [[1, 2]] - np.array([[0, 1 / 5001]]), rtol=1e-4)


def test_kinds_of_arrays(tmp_path):
    x, _ = blobs()
    start = x[::40]
    expected = kmeans(x, 12, init=start)
    assert isinstance(expected.centroids, np.ndarray)
    for kind in (np.float64, np.float16):
        found = kmeans(x.astype(kind), 12, init=start)
        np.testing.assert_allclose(found.centroids, expected.centroids, atol=2e-3)
    np.save(tmp_path / "x.npy", x)
    mapped = kmeans(np.load(tmp_path / "x.npy", mmap_mode="r"), 12, init=start)
    np.testing.assert_array_equal(mapped.centroids, expected.centroids)
    tensor = kmeans(torch.from_numpy(x), 12, init=torch.from_numpy(start))
    assert torch.is_tensor(tensor.assignments) and tensor.centroids.dtype == torch.float32
    np.testing.assert_array_equal(tensor.centroids.numpy(), expected.centroids)
    (tmp_path / "x.bf16").write_bytes(
        torch.from_numpy(x).bfloat16().view(torch.int16).numpy().tobytes()
    )
    half = torch.from_file(str(tmp_path / "x.bf16"), size=x.size, dtype=torch.bfloat16)
    found = kmeans(half.view(x.shape), 12, init=start)
    np.testing.assert_allclose(found.centroids.numpy(), expected.centroids, atol=3e-3)


def test_the_precision_of_other_products_is_left_alone():
    torch.set_float32_matmul_precision("highest")
    kmeans(blobs()[0], 3)
    assert torch.get_float32_matmul_precision() == "highest"


def test_estimate_and_progress_on_request(capfd):
    kmeans(blobs()[0], 3)
    assert capfd.readouterr().err == ""
    kmeans(blobs()[0], 3, verbose=True)
    shown = capfd.readouterr().err
    assert "480 points of 16 dimensions, 3 clusters, 10 iterations in float32" in shown
    assert "GB for the points" in shown and "5280/5280" in shown


@pytest.mark.parametrize(
    ("change", "k", "options", "message"),
    [
        (None, 481, {}, "481 clusters of 480 points: k must be between 1"),
        (None, 0, {}, "0 clusters of 480 points"),
        (np.nan, 3, {}, "1 of 480 embeddings are zero, infinite or NaN: row 7;"),
        (0.0, 3, {}, "1 of 480 embeddings are zero, infinite or NaN: row 7;"),
        (np.inf, 3, {"spherical": False}, "1 of 480 embeddings are infinite or NaN: row 7;"),
        (np.nan, 3, {"names": [f"utt{i}" for i in range(480)]}, "NaN: utt7;"),
        (None, 3, {"init": np.ones((2, 16))}, r"shape \(2, 16\); 3 centroids of 16 dimensions"),
        (None, 3, {"init": np.zeros((3, 16))}, "a first centroid is zero"),
        (None, 3, {"init": np.full((3, 16), np.nan)}, "infinite or NaN"),
        (None, 3, {"init": "best"}, "start 'best' is unknown"),
        (None, 3, {"iterations": -1}, "iterations is -1"),
        (None, 3, {"device": "abacus"}, "abacus"),
    ],
)
def test_bad_input(change, k, options, message):
    x, _ = blobs()
    if change is not None:
        x[7] = change
    with pytest.raises(InputError, match=message):
        kmeans(x, k, **options)


@pytest.mark.parametrize("x", [np.ones(5, np.float32), np.ones((5, 2), np.int64)])
def test_not_a_matrix_of_floats(x):
    with pytest.raises(InputError, match="needs a matrix"):
        kmeans(x, 1)


def test_a_zero_vector_is_a_point_in_euclidean_space():
    assert kmeans(np.zeros((4, 3), np.float32), 1, spherical=False).objective == 0


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("noise", [0.5, 1.5])
def test_bounds_spare_products_and_change_nothing(spherical, precision, noise, monkeypatch):
    monkeypatch.setattr(points_module, "CPU_BLOCK", 300)
    monkeypatch.setattr(assign_module, "TILE", 70)
    x, _ = blobs(clusters=100, each=20, dim=64, noise=noise, shift=0 if spherical else 5)
    x[7] = x[8]  # two points that are equal
    options = dict(iterations=8, spherical=spherical, seed=3, precision=precision)
    shares = []
    start = bounds_module.Bounded.start

    def start_and_look(self, *arguments):
        shares.append(self.searched)
        start(self, *arguments)

    monkeypatch.setattr(bounds_module.Bounded, "start", start_and_look)
    found = kmeans(x, 100, **options)
    monkeypatch.setattr(lloyd_module, "Bounded", lloyd_module.Dense)
    dense = kmeans(x, 100, **options)
    if precision == "float32":
        np.testing.assert_array_equal(found.assignments, dense.assignments)
        np.testing.assert_allclose(found.centroids, dense.centroids, atol=1e-5)
        np.testing.assert_allclose(found.history, dense.history, rtol=1e-5)
    assert found.objective == pytest.approx(dense.objective, rel=0.01)
    nearest = Nearest(torch.from_numpy(found.centroids), spherical=True, dtype=torch.float32)
    if spherical:  # whatever came before, the last assignment is that of float32
        unit = torch.nn.functional.normalize(torch.from_numpy(x))
        assert (nearest(unit)[0].numpy() == found.assignments).all()
    assert shares[1] == 1.0
    assert shares[-1] < (0.6 if noise == 0.5 else 0.9)


def test_the_second_nearest_and_what_is_left_out(monkeypatch):
    monkeypatch.setattr(assign_module, "TILE", 4)
    generator = torch.Generator().manual_seed(0)
    rows, centroids = (
        torch.randn(50, 8, generator=generator),
        torch.randn(11, 8, generator=generator),
    )
    costs = torch.cdist(rows, centroids).square() / 2
    nearest = Nearest(centroids, spherical=False, dtype=torch.float32)
    without = torch.arange(50) % 12 - 1  # -1: nothing
    for first in (1, 2, 6, 11):
        allowed = costs.clone()
        allowed[:, first:] = torch.inf
        named = torch.nonzero(without >= 0)[:, 0]
        allowed[named, without[named]] = torch.inf
        expected = allowed.sort(dim=1).values
        index, cost, second = nearest.two(rows, first, without)
        torch.testing.assert_close(cost, expected[:, 0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(second, expected[:, 1], rtol=1e-4, atol=1e-4)
        finite = torch.isfinite(cost)
        assert (index == allowed.argmin(dim=1))[finite].all()
