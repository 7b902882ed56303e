import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jhash.models.layers.activations import shrink_sigmoid
from jhash.models.layers.normalization import local_response_norm


def reference(x, n, k, alpha, beta):
    """The definition, channel by channel, in float64."""
    x = np.asarray(x, np.float64)
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        window = x[..., max(0, c - (n - 1) // 2) : c + n // 2 + 1]
        y[..., c] = x[..., c] * (k + alpha * np.sum(window**2, axis=-1)) ** -beta
    return y


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 3, 4, 16), (5, 3), (4, 1)])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_is_the_definition(shape, n):
    x = 100 * jax.random.normal(jax.random.key(0), shape)
    found = local_response_norm(x, n, 1.5, 3e-3, 0.6)
    np.testing.assert_allclose(found, reference(x, n, 1.5, 3e-3, 0.6), rtol=2e-6)


def test_values_and_gradient_are_pytorchs_with_alpha_times_n():
    x = 60 * np.random.default_rng(0).normal(size=(2, 6, 5, 16)).astype(np.float32)
    weight = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    other = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    y = torch.nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(other)
    (y * torch.tensor(weight.transpose(0, 3, 1, 2))).sum().backward()

    np.testing.assert_allclose(
        local_response_norm(jnp.asarray(x)), y.detach().numpy().transpose(0, 2, 3, 1), rtol=2e-6
    )
    gradient = jax.grad(lambda v: jnp.sum(local_response_norm(v) * weight))(jnp.asarray(x))
    np.testing.assert_allclose(gradient, other.grad.numpy().transpose(0, 2, 3, 1), atol=2e-6)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e9])
def test_gradient_is_finite(value):
    x = jnp.full((2, 8), value)
    gradient = jax.grad(lambda v: jnp.sum(local_response_norm(v)))(x)
    assert jnp.isfinite(gradient).all()
    if value < 1:
        np.testing.assert_allclose(gradient, 2.0**-0.75, rtol=1e-6)


def test_low_precision_input_is_normalized_in_float32():
    x = 60 * jax.random.normal(jax.random.key(0), (4, 64)).astype(jnp.bfloat16)
    found = local_response_norm(x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        found, local_response_norm(x.astype(jnp.float32)).astype(jnp.bfloat16)
    )


def test_shrink_sigmoid_is_the_papers():
    """DAH eq. 1 in float64, and its derivative sigmoid (1 - sigmoid) / 2."""
    x = np.append(np.linspace(-30, 30, 241), [-300.0, 300.0])
    e = np.exp(-x)
    found = shrink_sigmoid(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, 1 / 4 + 1 / (2 * (1 + e)), rtol=2e-7)
    assert found.dtype == jnp.float32
    gradient = jax.vmap(jax.grad(shrink_sigmoid))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(gradient, e / (1 + e) ** 2 / 2, rtol=1e-5, atol=6e-8)


def test_shrink_sigmoid_stays_in_its_range():
    x = jnp.asarray([[-jnp.inf, -1e30, -1e-30], [0.0, 1e30, jnp.inf]])
    found = np.asarray(shrink_sigmoid(x))
    np.testing.assert_array_equal(found, [[0.25, 0.25, 0.5], [0.5, 0.75, 0.75]])
    many = np.asarray(shrink_sigmoid(20 * jax.random.normal(jax.random.key(0), (1000,))))
    assert ((many >= 0.25) & (many <= 0.75)).all()
