"""How a loss is compared with an equation written out, or with another implementation."""

import numpy as np
import pytest
import torch

KINDS = {"f": np.float64, "i": np.int64}
"""Kind of an array of the reference values → what a test gets it as."""


@pytest.fixture
def assert_same():
    """Compare values and gradients of two functions of the same float64 inputs."""

    def check(ours, naive, *inputs, rtol=1e-9, atol=1e-12):
        inputs = [x.detach().clone().requires_grad_() for x in inputs]
        a, b = ours(*inputs), naive(*inputs)
        torch.testing.assert_close(a, b, rtol=rtol, atol=0)
        grads = [torch.autograd.grad(value, inputs, allow_unused=True) for value in (a, b)]
        for left, right in zip(*grads, strict=True):
            left, right = (0 * a if g is None else g for g in (left, right))
            torch.testing.assert_close(left, right.expand_as(left), rtol=1e-7, atol=atol)

    return check


@pytest.fixture
def assert_reference(reference_losses):
    """Compare a loss of one float32 input, and its gradient, with an independent implementation."""

    def check(loss, name, key="z1", gradient=None):
        z = torch.tensor(reference_losses[key], requires_grad=True)
        value = loss(z, {k: torch.tensor(v) for k, v in reference_losses.items()})
        value.backward()
        np.testing.assert_allclose(value.item(), reference_losses[name], rtol=1e-5)
        expected = reference_losses[gradient or f"{name}.grad1"]
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(z.grad, expected, rtol=1e-5, atol=atol)

    return check


@pytest.fixture
def draw():
    """Return a function that draws float64 tensors, the same ones for the same seed."""
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def assert_relative(reference_folder):
    """Compare a loss with `relatives*.npz`: value and gradients of independent implementations.

    ``assert_relative("byol", "loss", loss, "p1", "p2")`` calls ``loss(p1, p2, given)`` in float64.
    """

    def check(group, key, loss, *inputs, gradients=None):
        """``gradients``: what the gradients are named after, if not after the inputs."""
        files = sorted(reference_folder.glob("relatives*.npz"))
        if not files:
            pytest.skip("no reference/relatives*.npz here: set SV_REFERENCE to their folder")
        for file in files:
            values = np.load(file)
            given = {
                name.partition("/")[2]: torch.tensor(values[name].astype(KINDS[kind]))
                for name in values
                if name.startswith(f"{group}/") and (kind := values[name].dtype.kind) in KINDS
            }
            tensors = [given[name].clone().requires_grad_() for name in inputs]
            value = loss(*tensors, given)
            value.backward()
            torch.testing.assert_close(value.detach(), given[key], rtol=1e-6, atol=0)
            for name, tensor in zip(gradients or inputs, tensors, strict=True):
                expected = given[f"{key}.grad.{name}"]
                atol = float(expected.abs().max()) * 1e-6
                torch.testing.assert_close(tensor.grad, expected, rtol=1e-5, atol=atol)

    return check
