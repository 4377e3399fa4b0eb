import pytest
import torch

from sv.losses import iterative_whitening, w_mse_loss, whiten


def naive_whiten(z, eps):
    """Cholesky's factor and its inverse applied, one number at a time."""
    size, dim = z.shape
    mean = [sum(z[:, d]) / size for d in range(dim)]
    lower = [[0.0] * dim for _ in range(dim)]
    for d in range(dim):
        for e in range(d + 1):
            c = sum((z[i, d] - mean[d]) * (z[i, e] - mean[e]) for i in range(size)) / (size - 1)
            c = (1 - eps) * c + eps * (d == e)
            c = c - sum(lower[d][k] * lower[e][k] for k in range(e))
            lower[d][e] = c.sqrt() if d == e else c / lower[e][e]
    rows = []
    for i in range(size):
        row = []
        for d in range(dim):
            rest = z[i, d] - mean[d] - sum(lower[d][k] * row[k] for k in range(d))
            row.append(rest / lower[d][d])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def naive_w_mse(z1, z2, parts, eps):
    total = 0.0
    for part in parts:
        for a, b in zip(naive_whiten(z1[part], eps), naive_whiten(z2[part], eps), strict=True):
            total = total + (a / a.norm() - b / b.norm()).square().sum()
    return total / len(z1)


@pytest.mark.parametrize("eps", [0.0, 0.2])
def test_w_mse_equals_the_naive_loop(draw, assert_same, eps):
    parts = torch.tensor([3, 0, 8, 5, 1, 7, 2, 6, 4, 9]).split(5)
    assert_same(
        lambda a, b: w_mse_loss(a, b, parts=parts, eps=eps),
        lambda a, b: naive_w_mse(a, b, parts, eps),
        *(draw(10, 3) * draw(3), draw(10, 3)),
    )


def test_w_mse_equals_independent_implementation(assert_relative):
    assert_relative("wmse", "loss_whole_batch", lambda z, given: w_mse_loss(z, given["z2"]), "z1")
    assert_relative(
        "wmse",
        "loss_two_subbatches",
        lambda z, given: w_mse_loss(z, given["z2"], parts=given["permutation"].chunk(2)),
        "z1",
    )


def test_whitened_rows_have_the_identity_as_covariance(draw):
    white = whiten(draw(50, 6) @ draw(6, 6))
    torch.testing.assert_close(white.T.cov(), torch.eye(6, dtype=white.dtype))


def naive_iterations(x, groups, iterations):
    found = []
    for part in x.chunk(groups, dim=1):
        centred = torch.stack([row - sum(part) / len(part) for row in part])
        sigma = sum(torch.outer(row, row) for row in centred) / len(part)
        sigma = sigma + 1e-5 * torch.eye(part.shape[1], dtype=x.dtype)
        scaled, p = sigma / sigma.trace(), torch.eye(part.shape[1], dtype=x.dtype)
        for _ in range(iterations):
            p = 1.5 * p - 0.5 * torch.matrix_power(p, 3) @ scaled
        found.append(centred @ p / sigma.trace().sqrt())
    return torch.cat(found, dim=1)


def test_iterations_equal_the_naive_loop(draw, assert_same):
    cotangent = draw(9, 6)
    assert_same(
        lambda x: (iterative_whitening(x, groups=2, iterations=3) * cotangent).sum(),
        lambda x: (naive_iterations(x, 2, 3) * cotangent).sum(),
        draw(9, 6) * draw(6),
    )


def test_iterations_equal_an_independent_implementation(assert_relative):
    def vjp(x, given):
        y = iterative_whitening(x, groups=4)
        expected = given["iternorm_y_train"]
        torch.testing.assert_close(y.detach(), expected, rtol=1e-5, atol=1e-6)
        return (y * given["iternorm_cotangent"]).sum()

    assert_relative("vibcreg", "iternorm_vjp", vjp, "iternorm_x", gradients=["x"])


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="must both be"):
        w_mse_loss(torch.zeros(4, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="D a multiple of 4"):
        iterative_whitening(torch.zeros(4, 6), groups=4)
    with pytest.raises(torch.linalg.LinAlgError):
        whiten(torch.ones(4, 2))
