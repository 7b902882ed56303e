"""The quantization losses against sums over bits written from the papers, in float64."""

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from jhash.losses import quantization


def outputs(batch, bits, dtype=np.float32):
    return np.random.default_rng(0).normal(scale=2, size=(batch, bits)).astype(dtype)


@pytest.mark.parametrize(("batch", "bits"), [(1, 1), (5, 48)])
def test_sign_loss_is_the_papers_of_each_image(batch, bits):
    u = outputs(batch, bits)
    expected = [sum(((1 if x > 0 else -1) - float(x)) ** 2 for x in row) for row in u]
    np.testing.assert_allclose(quantization.sign_loss(u), expected, rtol=1e-5)


def test_sign_loss_of_known_outputs():
    u = np.array([[1, -1, 1], [3, -1, 1], [0.5, -0.5, -2]], np.float32)
    np.testing.assert_array_equal(quantization.sign_loss(u), [0, 4, 1.5])


def test_zero_counts_as_no_bit():
    u = np.array([[0.0, -0.0]], np.float32)
    value, gradient = jax.value_and_grad(lambda u: quantization.sign_loss(u).sum())(u)
    assert value == 2
    np.testing.assert_array_equal(gradient, [[2, 2]])


def test_the_gradient_takes_the_code_as_constant():
    u = outputs(4, 12)
    found = jax.jit(jax.grad(lambda u: quantization.sign_loss(u).sum()))(u)
    np.testing.assert_allclose(found, 2 * (u - np.where(u > 0, 1, -1)), rtol=1e-6)
    with jax.enable_x64(True):
        u = outputs(4, 12, np.float64)
        assert np.abs(u).min() > 1e-3, "no jump near"
        check_grads(jax.jit(quantization.sign_loss), (u,), order=1, modes=["fwd", "rev"])


def test_the_dtype_is_kept():
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            assert quantization.sign_loss(outputs(3, 4, dtype)).dtype == dtype


def test_bad_input_is_refused():
    with pytest.raises(AssertionError):
        quantization.sign_loss(outputs(3, 4)[0])
