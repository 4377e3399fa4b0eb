import math

import numpy as np
import pytest
import torch

from sv.losses import dino_loss, sinkhorn, swav_loss, update_center, view_cross_entropy

DINO = {"student_temp": 0.1, "teacher_temp": 0.04, "n_global": 2}


def naive_pairs(scores, targets, temperature):
    """scores: list of (B, K), targets: list of (B, K); one pair, item and class at a time."""
    total, pairs = 0.0, 0
    for t, target in enumerate(targets):
        for s, score in enumerate(scores):
            if s == t:
                continue
            pairs += 1
            for i in range(len(score)):
                bottom = sum(torch.exp(score[i, k] / temperature) for k in range(score.shape[1]))
                for k in range(score.shape[1]):
                    log_p = score[i, k] / temperature - torch.log(bottom)
                    total = total - target[i, k] * log_p / len(score)
    return total / pairs


@pytest.mark.parametrize(("views", "n_global"), [(2, 2), (4, 2), (3, 1)])
def test_dino_equals_the_naive_loop(draw, assert_same, views, n_global):
    batch, classes = 3, 4
    teacher, center = draw(n_global * batch, classes), draw(1, classes)

    def naive(student):
        targets = [torch.softmax((rows - center) / 0.04, dim=1) for rows in teacher.split(batch)]
        return naive_pairs(student.split(batch), targets, 0.1)

    options = DINO | {"n_global": n_global}
    assert_same(
        lambda s: dino_loss(s, teacher, center, **options), naive, draw(views * batch, classes)
    )


def test_dino_equals_independent_implementation(assert_reference):
    assert_reference(
        lambda z, given: dino_loss(z, given["dino_teacher"], given["dino_center"], **DINO),
        "dino_loss",
        key="dino_student",
        gradient="dino_grad_student",
    )


def test_centre_equals_independent_implementation(reference_losses):
    center, teacher = (torch.tensor(reference_losses[f"dino_{k}"]) for k in ("center", "teacher"))
    before = center.clone()
    after = update_center(center, teacher, 0.9)
    np.testing.assert_allclose(after, reference_losses["dino_center_after"], rtol=1e-5, atol=1e-7)
    assert torch.equal(center, before)
    joined = update_center(center, teacher.mean(dim=0, keepdim=True), 0.9)
    torch.testing.assert_close(joined, after)


def test_no_gradient_reaches_the_teacher_and_the_centre_may_be_flat():
    teacher = torch.randn(4, 5, requires_grad=True)
    student, center = torch.randn(8, 5, requires_grad=True), torch.randn(5)
    dino_loss(student, teacher, center, **DINO).backward()
    assert teacher.grad is None
    flat = dino_loss(student, teacher, center, **DINO)
    torch.testing.assert_close(dino_loss(student, teacher, center[None], **DINO), flat)


def test_chance_level_of_dino_is_the_logarithm_of_the_outputs():
    loss = dino_loss(torch.zeros(8, 50), torch.zeros(4, 50), torch.zeros(50), **DINO)
    assert loss.item() == pytest.approx(math.log(50))


def test_only_one_gradient_is_kept():
    student, sizes = torch.randn(6 * 8, 1000, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, id):
        dino_loss(student, torch.randn(16, 1000), torch.zeros(1000), **DINO)
    assert sum(sizes) == student.numel()


def test_half_precision_outputs_are_compared_in_float32():
    student, teacher = torch.randn(8, 50).bfloat16(), torch.randn(4, 50).bfloat16()
    student.requires_grad_()
    loss = dino_loss(student, teacher, torch.zeros(50), **DINO)
    exact = dino_loss(student.double(), teacher.double(), torch.zeros(50).double(), **DINO)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.dtype == torch.bfloat16


def test_swav_equals_the_naive_loop(draw, assert_same):
    codes = torch.softmax(draw(2 * 3, 4), dim=1)
    assert_same(
        lambda s: swav_loss(s, codes, temperature=0.1, n_codes=2),
        lambda s: naive_pairs(s.split(3), codes.split(3), 0.1),
        draw(4 * 3, 4),
    )


def naive_sinkhorn(scores, epsilon, iterations):
    q = torch.exp(scores / epsilon)
    q = q / q.sum()
    for _ in range(iterations):
        for k in range(q.shape[1]):
            q[:, k] = q[:, k] / q[:, k].sum() / q.shape[1]
        for i in range(q.shape[0]):
            q[i] = q[i] / q[i].sum() / q.shape[0]
    return q * q.shape[0]


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_equals_the_naive_loop(draw, iterations):
    scores = draw(7, 4).tanh()
    codes = sinkhorn(scores, epsilon=0.05, iterations=iterations)
    torch.testing.assert_close(codes, naive_sinkhorn(scores, 0.05, iterations))


def test_sinkhorn_balances_and_does_not_overflow():
    scores = 100 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    before = scores.clone()
    codes = sinkhorn(scores, epsilon=0.5)  # e^{200} is too large for float32
    assert torch.equal(scores, before)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(64))
    codes = sinkhorn(scores, epsilon=50.0, iterations=20)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((8,), 8.0), rtol=0.05, atol=0)


def test_sinkhorn_over_parts_joins_the_columns():
    """Two processes, played one after the other: what the other one would have sent is known."""
    scores = torch.randn(6, 4, dtype=torch.float64)
    whole = sinkhorn(scores, epsilon=0.5, iterations=1)
    other = (scores[3:] / 0.5).logsumexp(dim=0, keepdim=True)
    part = sinkhorn(scores[:3], epsilon=0.5, iterations=1, join=lambda row: torch.cat([row, other]))
    torch.testing.assert_close(part, whole[:3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinkhorn(torch.ones(3, 2), epsilon=0.0), "above 0"),
        (
            lambda: dino_loss(
                torch.ones(8, 5), torch.ones(4, 5), torch.zeros(5), **DINO | {"teacher_temp": 0}
            ),
            "above 0",
        ),
        (
            lambda: dino_loss(torch.ones(8, 5), torch.ones(3, 5), torch.zeros(5), **DINO),
            r"targets of 2 views must be \(2·B, K\), not \(3, 5\)",
        ),
        (
            lambda: dino_loss(torch.ones(7, 5), torch.ones(4, 5), torch.zeros(5), **DINO),
            r"scores must be \(views·2, 5\)",
        ),
        (
            lambda: view_cross_entropy(
                torch.ones(4, 5), torch.ones(4, 5), temperature=1.0, n_targets=1
            ),
            "at least 2 views",
        ),
        (
            lambda: swav_loss(torch.ones(8, 5), torch.ones(4, 6), temperature=0.1, n_codes=2),
            r"scores must be \(views·2, 6\)",
        ),
    ],
)
def test_wrong_use_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
