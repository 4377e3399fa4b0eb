import pytest
import torch

from sv.losses import barlow_twins_loss, vibcreg_loss, vicreg_loss


def naive_vicreg(z1, z2, inv, var, cov):
    size, dim = z1.shape
    loss = inv * sum((z1[i, d] - z2[i, d]) ** 2 for i in range(size) for d in range(dim))
    loss = loss / (size * dim)
    for z in (z1, z2):
        mean = [sum(z[:, d]) / size for d in range(dim)]
        for d in range(dim):
            for e in range(dim):
                c = sum((z[i, d] - mean[d]) * (z[i, e] - mean[e]) for i in range(size))
                c = c / (size - 1)
                if d != e:
                    loss = loss + cov * c**2 / dim
                elif (c + 1e-4).sqrt() < 1:
                    loss = loss + var * (1 - (c + 1e-4).sqrt()) / dim
    return loss


@pytest.mark.parametrize(("size", "dim"), [(6, 3), (3, 6), (4, 4)])  # either product
@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.04), (25.0, 0.5, 1.0)])
def test_value_and_gradient_equal_the_naive_loop(draw, assert_same, size, dim, weights):
    inv, var, cov = weights
    assert_same(
        lambda a, b: vicreg_loss(a, b, inv=inv, var=var, cov=cov),
        lambda a, b: naive_vicreg(a, b, inv, var, cov),
        draw(size, dim) * draw(dim),
        draw(size, dim),
    )


def test_equals_independent_implementation(assert_reference):
    assert_reference(
        lambda z, given: vicreg_loss(z, given["z2"], inv=1, var=1, cov=0.04), "vicreg_1_1_0.04"
    )


def test_both_products_agree_in_float32():
    """More dimensions than items takes the other product; the sum of squares is the same."""
    z1, z2 = torch.randn(2, 24, 96).unbind()
    exact = vicreg_loss(z1.double(), z2.double(), inv=0, var=0, cov=1)
    torch.testing.assert_close(
        vicreg_loss(z1, z2, inv=0, var=0, cov=1).double(), exact, rtol=1e-5, atol=0
    )


def test_bfloat16_autocast_computes_in_float32():
    z1, z2 = torch.randn(2, 6, 8).unbind()
    plain = vicreg_loss(z1, z2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert vicreg_loss(z1, z2) == plain


@pytest.mark.parametrize("shapes", [[(3, 2), (4, 2)], [(1, 2), (1, 2)], [(4,), (4,)]])
def test_wrong_use_is_named(shapes):
    with pytest.raises(ValueError, match=r"both be \(N, D\) with N of at least 2"):
        vicreg_loss(*map(torch.ones, shapes))


def correlation(a, b):
    """Return Σ (a − mean)(b − mean) / N, one item at a time."""
    return sum((x - sum(a) / len(a)) * (y - sum(b) / len(b)) for x, y in zip(a, b, strict=True)) / (
        len(a)
    )


def naive_barlow(z1, z2, redundancy, scale):
    loss = 0.0
    for d in range(z1.shape[1]):
        for e in range(z1.shape[1]):
            a, b = z1[:, d], z2[:, e]
            power = (correlation(a, a) + 1e-5) * (correlation(b, b) + 1e-5)
            c = correlation(a, b) / power.sqrt()
            loss = loss + ((c - 1) ** 2 if d == e else redundancy * c**2)
    return scale * loss


def naive_vibcreg(z1, z2, cov):
    size, dim = z1.shape
    loss = naive_vicreg(z1, z2, 1.0, 1.0, 0.0)
    for z in (z1, z2):
        for d in range(dim):
            for e in range(dim):
                a, b = z[:, d], z[:, e]
                if d != e:
                    power = correlation(a, a) * correlation(b, b)
                    loss = loss + cov * correlation(a, b) ** 2 / power / dim**2
    return loss


@pytest.mark.parametrize(("size", "dim"), [(6, 3), (3, 5)])
def test_relatives_equal_the_naive_loop(draw, assert_same, size, dim):
    z1, z2 = draw(size, dim) * draw(dim), draw(size, dim)
    assert_same(
        lambda a, b: barlow_twins_loss(a, b, redundancy=0.1, scale=0.5),
        lambda a, b: naive_barlow(a, b, 0.1, 0.5),
        *(z1, z2),
    )
    assert_same(lambda a, b: vibcreg_loss(a, b), lambda a, b: naive_vibcreg(a, b, 8.0), z1, z2)


@pytest.mark.parametrize(("redundancy", "scale"), [(0.005, 1.0), (0.005, 0.025), (0.05, 0.025)])
def test_barlow_twins_equals_independent_implementation(assert_relative, redundancy, scale):
    assert_relative(
        "barlow_twins",
        f"lambda{redundancy}_scale{scale}",
        lambda z, given: barlow_twins_loss(z, given["z2"], redundancy=redundancy, scale=scale),
        "z1",
    )


@pytest.mark.parametrize(
    ("key", "weights"),
    [("loss_1_1_8", (1, 1, 8)), ("inv", (1, 0, 0)), ("var", (0, 1, 0)), ("cov", (0, 0, 1))],
)
def test_vibcreg_equals_independent_implementation(assert_relative, key, weights):
    weights = dict(zip(("inv", "var", "cov"), weights, strict=True))
    assert_relative("vibcreg", key, lambda z, given: vibcreg_loss(z, given["z2"], **weights), "z1")
