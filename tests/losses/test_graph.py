"""Graph losses against double sums and against autodiff of the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jhash.losses import graph


def double_sum(h, weights):
    return sum(
        weights[i, j] * np.square(h[i] - h[j]).sum() for i in range(len(h)) for j in range(len(h))
    )


def factors(rng, nodes=40, signed=True):
    """Two unlike factors of a symmetric matrix."""
    v = rng.normal(size=(nodes, 9))
    v = v if signed else np.abs(v)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    scale = rng.uniform(0.5, 2, 9)
    return v * scale, v / scale


@pytest.mark.parametrize("signed", [False, True])
def test_the_factored_form_is_the_double_sum(signed):
    rng = np.random.default_rng(0)
    left, right = factors(rng, signed=signed)
    h = rng.normal(size=(40, 6)) + 3
    expected = double_sum(h, left @ right.T)
    with jax.enable_x64(True):
        found = graph.first_order_loss(h, left, right)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        check_grads(lambda h: graph.first_order_loss(h, left, right), (jnp.asarray(h),), order=1)
    # Every code far from 0: the terms are a thousand times the loss.
    h, left, right = np.float32(h + 100), np.float32(left), np.float32(right)
    expected = double_sum(h, left @ right.T)
    np.testing.assert_allclose(graph.first_order_loss(h, left, right), expected, rtol=2e-4)


def test_equal_codes_have_no_loss():
    left, right = np.float32(factors(np.random.default_rng(1)))
    codes = np.full((40, 4), 0.7, np.float32)
    assert abs(graph.first_order_loss(codes, left, right)) < 1e-5


def test_no_matrix_of_all_pairs_is_made():
    h, v = jax.ShapeDtypeStruct((5000, 8), np.float32), jax.ShapeDtypeStruct((5000, 16), np.float32)
    gradient = jax.jit(jax.grad(graph.first_order_loss)).lower(h, v, v).compile()
    assert gradient.memory_analysis().temp_size_in_bytes < 5000 * 5000


def test_a_share_has_the_gradient_of_the_whole():
    rng = np.random.default_rng(2)
    left, right = factors(rng)
    h, nodes = rng.normal(size=(40, 6)), np.array([3, 17, 5])
    with jax.enable_x64(True):
        whole = jax.grad(graph.first_order_loss)(jnp.asarray(h), left, right)[nodes]
        degrees, pull = (left @ right.T).sum(1)[nodes], left[nodes] @ (right.T @ h)
        share = jax.grad(lambda h: graph.first_order_share(h, degrees, pull).sum())
        np.testing.assert_allclose(share(jnp.asarray(h[nodes])), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("hidden", "shares"), [(0, {}), (1, {}), (2, {2: 1}), (5, {2: 2 / 3, 4: 1 / 3})]
)
def test_second_order_loss(hidden, shares):
    rng = np.random.default_rng(3)
    widths = [11, 7, 6, 5, 4, 3][: hidden + 1]
    given = [rng.normal(size=(8, width)) for width in widths]
    found = [rng.normal(size=(8, width)) for width in widths]
    squares = [np.square(x - y).sum(1) for x, y in zip(given, found, strict=True)]
    expected = 0.7 * squares[0] + 0.3 * sum(k * squares[m] for m, k in shares.items())
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            graph.second_order_loss(given, found, mu=0.7), expected, rtol=1e-12
        )


def test_shapes_must_fit():
    with pytest.raises(AssertionError):
        graph.first_order_loss(jnp.zeros((4, 2)), jnp.zeros((5, 2)), jnp.zeros((5, 2)))
    with pytest.raises(AssertionError):
        graph.first_order_loss(jnp.zeros((4, 2)), jnp.zeros((4, 2)), jnp.zeros((4, 3)))
    with pytest.raises(AssertionError):
        graph.second_order_loss([jnp.zeros((4, 2))], [jnp.zeros((4, 3))], mu=0.5)
