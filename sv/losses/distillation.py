"""Losses whose target is an output of the network for another view: DINO, SwAV, Sinkhorn codes."""

from collections.abc import Callable

import torch
from torch import Tensor


class _ViewCrossEntropy(torch.autograd.Function):
    """Mean over pairs (t, s), s ≠ t, of H(targets of view t, softmax(scores of view s / τ)).

    The targets of a view s are summed first, so its log-softmax is computed once and never kept.
    The gradient, (sum of weights · softmax − summed targets) / τ, is computed in the same pass.
    """

    @staticmethod
    def forward(ctx, scores, targets, temperature):
        views, batch, _ = scores.shape
        pairs = len(targets) * (views - 1)
        summed = targets.sum(dim=0)
        grad = torch.empty_like(scores) if ctx.needs_input_grad[0] else None
        loss = summed.new_zeros(())
        for view in range(views):
            target = summed - targets[view] if view < len(targets) else summed
            mass = target.sum(dim=1)
            logits = scores[view].to(summed.dtype) / temperature
            log_total = logits.logsumexp(dim=1)
            loss += (mass * log_total).sum() - torch.linalg.vecdot(target, logits).sum()
            if grad is not None:
                logits.sub_(log_total[:, None]).exp_().mul_(mass[:, None]).sub_(target)
                grad[view] = logits.mul_(1.0 / (pairs * batch * temperature))
        ctx.save_for_backward(grad)
        return loss / (pairs * batch)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        (grad,) = ctx.saved_tensors
        return (grad * grad_output).to(grad.dtype), None, None


def dino_loss(
    student: Tensor,
    teacher: Tensor,
    center: Tensor,
    *,
    student_temp: float,
    teacher_temp: float,
    n_global: int,
) -> Tensor:
    """Cross-entropy of the student's views with the teacher's, over all pairs of different views.

    (1/pairs) Σ_t Σ_{s≠t} H( softmax((z'_t − c)/τ_t), softmax(z_s/τ_s) ), a mean over the batch.

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021,
    eq. 2 and algorithm 1.

    Parameters
    ----------
    student: (V·B, K) outputs for V views, stacked view-major, global views first.
    teacher: (n_global·B, K) outputs for the global views, in the same order; no gradient.
    center: (1, K) or (K,), the running mean of teacher outputs (`update_center`).
    student_temp: τ_s; 0.1 as published. The loss at chance is log(K).
    teacher_temp: τ_t; 0.04. If it is too high, all outputs become uniform. If it is too low,
        training is unstable at the start.
    n_global: how many of the views the teacher has seen.
    """
    _check_temperatures(student_temp, teacher_temp)
    with torch.autocast(student.device.type, enabled=False):
        dtype = torch.promote_types(teacher.dtype, torch.float32)
        targets = (teacher.detach().to(dtype) - center).div_(teacher_temp).softmax(dim=1)
        return view_cross_entropy(student, targets, temperature=student_temp, n_targets=n_global)


def update_center(center: Tensor, teacher: Tensor, momentum: float) -> Tensor:
    """Return momentum · center + (1 − momentum) · mean of the teacher's outputs, (1, K).

    Caron et al., ICCV 2021, eq. 4; momentum 0.9. With several processes pass
    ``all_reduce_mean(teacher.mean(dim=0, keepdim=True))`` as the teacher's outputs: the mean of
    one row is that row.
    """
    batch = teacher.detach().to(center.dtype).mean(dim=0, keepdim=True)
    return center * momentum + batch * (1.0 - momentum)


def view_cross_entropy(
    scores: Tensor, targets: Tensor, *, temperature: float, n_targets: int
) -> Tensor:
    """Mean over pairs of views t ≠ s of −Σ_k targets_t,k · log softmax(scores_s / τ)_k.

    Parameters
    ----------
    scores: (V·B, K), views stacked view-major; the first ``n_targets`` of them have targets.
    targets: (n_targets·B, K) distributions, no gradient: a teacher's, or Sinkhorn codes.
    """
    if n_targets < 1 or targets.ndim != 2 or scores.ndim != 2 or len(targets) % n_targets:
        raise ValueError(
            f"targets of {n_targets} views must be ({n_targets}·B, K), not {(*targets.shape,)}"
        )
    batch = len(targets) // n_targets
    views = len(scores) // max(1, batch)
    if scores.shape != (views * batch, targets.shape[1]) or views < max(2, n_targets):
        raise ValueError(
            f"scores must be (views·{batch}, {targets.shape[1]}) with at least "
            f"{max(2, n_targets)} views, not {(*scores.shape,)}"
        )
    with torch.autocast(scores.device.type, enabled=False):
        return _ViewCrossEntropy.apply(
            scores.unflatten(0, (views, batch)),
            targets.detach().unflatten(0, (n_targets, batch)),
            temperature,
        )


def swav_loss(scores: Tensor, codes: Tensor, *, temperature: float, n_codes: int) -> Tensor:
    """SwAV: predict the code of one view from another view's scores.

    Source: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments", NeurIPS 2020, eq. 1 and 2, with multi-crop (section 3.2).

    Parameters
    ----------
    scores: (V·B, P) cosines of V views with the P prototypes, view-major, views with codes first.
    codes: (n_codes·B, P) from `sinkhorn` on the scores of those views; no gradient.
    temperature: τ; 0.1 as published.
    """
    _check_temperatures(temperature)
    return view_cross_entropy(scores, codes, temperature=temperature, n_targets=n_codes)


@torch.no_grad()
def sinkhorn(
    scores: Tensor,
    *,
    epsilon: float,
    iterations: int = 3,
    join: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return codes (B, K): rows are distributions, and all K columns are used about equally.

    The algorithm starts from e^{scores/ε} and in turn scales columns to 1/K and rows to 1/B, in the
    log domain. Source: Cuturi, NeurIPS 2013; as used by SwAV (Caron et al., NeurIPS 2020, eq. 3 to
    5). It can replace centring in DINO: ``scores`` are then the teacher's outputs and ``epsilon``
    is the teacher's temperature.

    Parameters
    ----------
    scores: (B, K) of one view, followed by the rows of a queue if there is one.
    epsilon: 0.05. If it is too high, all codes become uniform; if it is too low, one-hot.
    iterations: 3.
    join: with several processes, a function that stacks the rows (1, K) of all of them
        (`sv.distributed.gather`), so that the columns are balanced over the joined batch.
    """
    _check_temperatures(epsilon)
    log_codes = scores.detach().to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    for _ in range(iterations):
        columns = log_codes.logsumexp(dim=0, keepdim=True)
        log_codes -= columns if join is None else join(columns).logsumexp(dim=0, keepdim=True)
        log_codes -= log_codes.logsumexp(dim=1, keepdim=True)
    return log_codes.exp_()


def _check_temperatures(*temperatures: float) -> None:
    for temperature in temperatures:
        if temperature <= 0:
            raise ValueError(f"temperatures must be above 0, not {temperature}")
