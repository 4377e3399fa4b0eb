import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.losses import concentration, proto_chance, proto_nce

OWN = torch.tensor([0, 3, -1, 2, 3])


def naive(query, centroids, density):
    total = 0.0
    for q, own in zip(F.normalize(query), OWN.tolist(), strict=True):
        if own >= 0:
            e = [torch.exp(q @ c / phi) for c, phi in zip(centroids, density, strict=True)]
            total = total - torch.log(e[own] / sum(e))
    return total / len(query)


def test_value_and_gradient_equal_the_naive_loop(draw, assert_same):
    centroids, density = F.normalize(draw(4, 6)), 0.1 + draw(4).sigmoid()
    assert_same(
        lambda q: proto_nce(q, centroids, density, OWN),
        lambda q: naive(q, centroids, density),
        3 * draw(5, 6),
    )
    alike = F.normalize(torch.ones(5, 6, dtype=torch.float64))
    found = proto_nce(alike, alike[:4], density, OWN)
    torch.testing.assert_close(found, proto_chance(density, OWN))


@pytest.fixture(scope="module")
def given(reference_folder):
    file = reference_folder / "relatives_dev.npz"
    if not file.exists():
        pytest.skip("no reference/relatives_dev.npz here: set SV_REFERENCE to its folder")
    values = np.load(file)
    return {k.partition("/")[2]: values[k] for k in values if k.startswith("protonce/")}


@pytest.mark.parametrize("which", ["K0", "K1"])
def test_density_equals_independent_implementation(given, which):
    raw, features = (
        torch.tensor(given[k]).double() for k in (f"{which}_centroids_raw", "features")
    )
    found = concentration(features, raw, torch.tensor(given[f"{which}_assignments"]), 0.2)
    torch.testing.assert_close(found, torch.tensor(given[f"{which}_density"]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("which", ["K0", "K1"])
def test_loss_equals_independent_implementation(given, assert_relative, which):
    own = torch.tensor(given[f"{which}_assignments"][given["index"]])

    def loss(query, all_):
        centroids, density = all_[f"{which}_centroids"], all_[f"{which}_density"]
        return proto_nce(query, centroids, density, own)

    assert_relative("protonce", f"{which}_loss_all_centroids", loss, "query")


def test_features_that_are_all_alike_have_the_temperature(draw):
    density = concentration(torch.ones(6, 3), torch.ones(2, 3), torch.arange(6) % 2, 0.1)
    torch.testing.assert_close(density, torch.full((2,), 0.1))
