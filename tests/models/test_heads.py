"""Heads against NumPy: what they compute, and what a gradient passes through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.models import heads
from jhash.models.heads import straight_through

pytestmark = pytest.mark.usefixtures("quick_compilation")

B, L, C = 16, 6, 3


def outputs(width=L, scale=1.0):
    return np.random.default_rng(0).normal(scale=scale, size=(B, width)).astype(np.float32)


def sigmoid(u):
    return 1 / (1 + np.exp(-np.float64(u)))


def apply(head, u, train=False, **options):
    variables = head.init(jax.random.key(0), u, train=False)
    return variables, head.apply(variables, u, train, **options)


def test_the_sign_is_binary_and_its_gradient_is_the_identitys():
    u = np.float32([-1e4, -0.3, -0.0, 0.0, 1e-30, 0.3, 1e4])
    np.testing.assert_array_equal(straight_through.sign(u), [-1, -1, -1, -1, 1, 1, 1])
    weights = np.arange(7, dtype=np.float32)
    found = jax.grad(lambda u: (weights * straight_through.sign(u)).sum())(u)
    np.testing.assert_array_equal(found, weights)


def test_bits_are_draws_and_their_gradient_is_the_sigmoids():
    u = np.float32([-1e4, -0.3, 0.0, 0.3, 1e4])
    np.testing.assert_array_equal(straight_through.bernoulli(u), [0, 0, 0, 1, 1])
    found = jax.grad(lambda u: straight_through.bernoulli(u).sum())(u)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, sigmoid(u) * (1 - sigmoid(u)), rtol=1e-5)
    noise = np.random.default_rng(1).uniform(size=(20_000, 5)).astype(np.float32)
    shares = straight_through.bernoulli(np.broadcast_to(u, noise.shape), noise).mean(0)
    np.testing.assert_allclose(shares, [0, sigmoid(-0.3), 0.5, sigmoid(0.3), 1], atol=0.02)


def test_each_bit_divides_the_batch_in_halves():
    u = outputs()
    u[:, 2] = 0.5  # Of equal outputs the first in the batch count as larger.
    weights = np.random.default_rng(1).normal(size=u.shape).astype(np.float32)
    found, backward = jax.vjp(lambda u: straight_through.bi_half(u, 3.0), u)
    expected = np.full_like(u, -1)
    for bit in range(L):
        for i in sorted(range(B), key=lambda i: (-u[i, bit], i))[: B // 2]:
            expected[i, bit] = 1
    np.testing.assert_array_equal(found, expected)
    pull = 3 * (u - expected) / (B * L)
    np.testing.assert_allclose(backward(weights)[0], weights + pull, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("tanh", np.tanh),
        ("sign", lambda u: np.where(u > 0, 1, -1)),
        ("sigmoid", sigmoid),
        ("bernoulli", lambda u: u > 0),
    ],
)
def test_a_classifier_is_linear_in_its_input(name, function):
    u = outputs()
    for bias in (True, False):
        head = heads.HashClassifier(C, classifier_input=name, classifier_bias=bias)
        variables, found = apply(head, u)
        layer = variables["params"]["classes"]
        assert ("bias" in layer) == bias
        expected = function(np.float64(u)) @ layer["kernel"] + layer.get("bias", 0)
        np.testing.assert_allclose(found["classes"], expected, rtol=1e-4, atol=1e-5)
        assert found["hash"] is u


def test_noise_is_drawn_in_training_alone():
    u, rngs = outputs(), {"dropout": jax.random.key(3)}
    head = heads.HashClassifier(C, classifier_input="bernoulli", noise=True)
    plain = heads.HashClassifier(C, classifier_input="bernoulli")
    variables, quiet = apply(head, u, rngs=rngs)
    np.testing.assert_array_equal(quiet["classes"], plain.apply(variables, u, False)["classes"])
    noisy = head.apply(variables, u, True, rngs=rngs)
    assert not np.array_equal(quiet["classes"], noisy["classes"])
    again = head.apply(variables, u, True, rngs=rngs)
    np.testing.assert_array_equal(noisy["classes"], again["classes"])


def test_normalized_outputs_are_those_of_the_global_batch():
    u = 3 * outputs() + 5
    head = heads.HashNorm()
    variables = head.init(jax.random.key(0), u, train=False)
    found, changed = head.apply(variables, u, True, mutable=["batch_stats"])
    expected = (u - u.mean(0)) / np.sqrt(u.var(0) + 1e-5)
    np.testing.assert_allclose(found["hash"], expected, rtol=1e-4, atol=1e-5)

    def share(u):
        return heads.HashNorm("devices").apply(variables, u, True, mutable=["batch_stats"])

    shares, statistics = jax.vmap(share, axis_name="devices")(u.reshape(8, -1, L))
    np.testing.assert_allclose(shares["hash"].reshape(B, L), found["hash"], rtol=1e-4, atol=1e-5)
    for one, all_alike in zip(*map(jax.tree.leaves, (changed, statistics)), strict=True):
        np.testing.assert_allclose(all_alike, np.tile(one, (8, 1)), rtol=1e-4)
    # In evaluation the running statistics are taken.
    later = head.apply({**variables, **changed}, u, False)["hash"]
    statistics = changed["batch_stats"]["norm"]
    np.testing.assert_allclose(
        later, (u - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5), rtol=1e-4, atol=1e-5
    )


def test_proxies_are_compared_by_their_directions():
    u = outputs()
    u[3] = 0
    variables, found = apply(heads.Proxies(C), u)
    proxies = np.float64(variables["params"]["proxies"])
    norms = np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(proxies, axis=1))
    expected = u @ proxies.T / np.where(norms == 0, 1, norms)
    np.testing.assert_allclose(found["cosines"], expected, rtol=1e-4, atol=1e-6)
    gradient = jax.grad(lambda u: heads.Proxies(C).apply(variables, u, True)["cosines"].sum())(u)
    assert np.isfinite(gradient).all()


def test_each_bit_has_a_slice_of_its_own():
    u = outputs(width=4 * L)
    head = heads.DivideAndEncode(L)
    variables, found = apply(head, u)
    kernel, bias = (np.float64(variables["params"][name]) for name in ("kernel", "bias"))
    for image in range(B):
        for bit in range(L):
            expected = u[image, 4 * bit : 4 * bit + 4] @ kernel[bit] + bias[bit]
            np.testing.assert_allclose(found["hash"][image, bit], expected, rtol=1e-4, atol=1e-5)


def test_class_outputs_of_another_number_are_refused():
    message = r"^outputs: 7 numbers per image given; allowed: 9, for 6 bits and 3 classes\."
    with pytest.raises(InputError, match=message):
        heads.ClassOutputs(6, 3).apply({}, jnp.zeros((2, 7)), train=False)


@pytest.mark.parametrize("width", [L, L - 1, 2 * L + 1])
def test_outputs_that_cannot_be_divided_are_refused(width):
    message = rf"^outputs: {width} numbers per image given; allowed: 2, 3, \.\.\. times 6, .*"
    with pytest.raises(InputError, match=message + r"config\.model\.bits"):
        heads.DivideAndEncode(L).init(jax.random.key(0), jnp.zeros((2, width)), train=False)
