"""The three gradients of stacks of invertible blocks, their memory, and the lattice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.models.invertible_net import InvertibleNet
from jhash.models.layers import coupling
from tests.support.quick import quick_jit


def bits_of(x):
    return np.asarray(x).view(np.uint32)


def problem(net, batch, seed=0):
    """A loss of the network in training, its parameters, statistics and images without ties."""
    x = np.random.default_rng(seed).normal(size=(batch, 8, 8, 3)).astype(np.float32)
    variables = quick_jit(net.init, static_argnums=2)(jax.random.key(seed), x[:1], False)

    def loss(params, x, gradient):
        outputs, changed = net.clone(gradient=gradient).apply(
            {**variables, "params": params}, x, True, mutable=["batch_stats"]
        )
        return jnp.square(outputs - 1).mean(), changed

    return loss, variables["params"], x


@pytest.mark.slow
def test_gradients_agree_in_float64():
    net = InvertibleNet(4, stages=(3,))
    loss, params, x = problem(net, 4)
    with jax.enable_x64(True):
        wide = jax.tree.map(np.float64, (params, x))
        both = jax.grad(loss, argnums=(0, 1), has_aux=True)
        run = quick_jit(both, static_argnums=2)
        found = {gradient: run(*wide, gradient) for gradient in coupling.GRADIENTS}
    for gradient in ("reversible", "checkpoint"):
        jax.tree.map(
            lambda value, plain: np.testing.assert_allclose(
                value, plain, rtol=0, atol=1e-11 * np.abs(plain).max()
            ),
            found[gradient],
            found["plain"],
        )


@pytest.mark.slow
def test_gradients_on_the_lattice_agree_in_float32():
    """There the inverse makes the very activations that the plain gradient has stored."""
    net = InvertibleNet(4, stages=(3,), lattice=12)
    loss, params, x = problem(net, 4)
    run = quick_jit(jax.grad(loss, has_aux=True), static_argnums=2)
    (found, _), (plain, _) = (run(params, x, name) for name in ("reversible", "plain"))
    jax.tree.map(
        lambda value, plain: np.testing.assert_allclose(
            value, plain, rtol=0, atol=1e-4 * np.abs(plain).max()
        ),
        found,
        plain,
    )


def shapes(net, x):
    return jax.eval_shape(lambda: net.init(jax.random.key(0), x, False))


def temporary(blocks, gradient):
    """Bytes that a compiled gradient needs beside its arguments and results."""
    net = InvertibleNet(4, stages=(blocks,), gradient=gradient)
    variables = shapes(net, jnp.zeros((1, 16, 16, 3)))

    def loss(variables, x):
        outputs, _ = net.apply(variables, x, True, mutable=["batch_stats"])
        return jnp.square(outputs - 1).mean()

    x = jax.ShapeDtypeStruct((64, 16, 16, 3), jnp.float32)
    compiled = quick_jit(jax.grad(loss)).lower(variables, x).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_does_not_grow_with_the_blocks():
    few, many = (temporary(blocks, "reversible") for blocks in (5, 50))
    assert many < 1.1 * few
    assert temporary(50, "plain") > 5 * many


def test_equal_blocks_are_compiled_once():
    """The program of 40 blocks is that of 4 with other numbers in it."""

    def program(blocks):
        net = InvertibleNet(4, stages=(1, blocks))
        x = jnp.zeros((1, 8, 8, 3))
        features = jax.jit(lambda v, x: net.apply(v, x, False, method="features"))
        return features.lower(shapes(net, x), x).as_text()

    assert program(40).count("\n") == program(4).count("\n")


def test_snap():
    x = np.array([0.124, 0.126, -0.126, 0.375, 0.625, -0.1, -0.0, 3.0], np.float32)
    expected = np.array([0, 0.25, -0.25, 0.5, 0.5, 0, 0, 3], np.float32)
    found = np.asarray(coupling.snap(x, 2))
    np.testing.assert_array_equal(found, expected)
    assert not np.signbit(found[found == 0]).any()
    np.testing.assert_array_equal(bits_of(coupling.snap(x, None)), bits_of(x))
    gradient = jax.grad(lambda x: (coupling.snap(x, 2) * jnp.arange(8)).sum())(x)
    np.testing.assert_array_equal(gradient, np.arange(8))
