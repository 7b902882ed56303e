"""Methods that learn from centers, classifiers, proxies or slices, against NumPy in float64.

The fields of the methods are those of their configs, the parameters of a head those of its start.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods import load
from jhash.methods.deep import csq, dnnh, dpn, jmlh
from jhash.runs import workdirs
from tests.methods.deep.test_pairwise_methods import (
    IDS,
    LABELS,
    OTHERS,
    B,
    C,
    L,
    config_of,
    data_of,
    magnitude,
    rows_of,
    sign,
    similarity,
    sp,
    squared,
)
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

SLICE = 16


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def cross_entropy(z, labels):
    """Of a softmax, or of one sigmoid per label."""
    if labels.ndim == 1:
        return np.mean(
            [np.log(np.exp(row).sum()) - row[y] for row, y in zip(z, labels, strict=True)]
        )
    return np.where(labels, sp(-z), sp(z)).sum(1).mean()


def classify(codes, params):
    layer = params["classes"]
    return codes @ np.float64(layer["kernel"]) + layer.get("bias", 0)


def of_csq(u, labels, state, params):
    """As published, with logarithms of tanh; an image without a label has no center."""
    total = 0.0
    for x, row in zip(u, rows_of(labels), strict=True):
        if row.any():
            sums = row @ state["centers"]
            c = (np.where(sums == 0, state["tie"], np.sign(sums)) + 1) / 2
            p = (np.tanh(x) + 1) / 2
            total -= (c * np.log(p) + (1 - c) * np.log(1 - p)).mean() / len(u)
    return total + 1e-3 * np.square(np.abs(np.tanh(u)) - 1).mean()


def of_orthohash(u, labels, state, params, angular=False):
    """BatchNorm begins with a mean of 0 and a variance of 1."""
    centers, total = state["centers"], 0.0
    v = u / np.sqrt(1 + 1e-5)
    cosines = v @ centers.T / np.outer(np.linalg.norm(v, axis=1), np.linalg.norm(centers, axis=1))
    for x, row in zip(cosines, rows_of(labels), strict=True):
        if row.any():
            z = 8 * (np.cos(np.arccos(x) + 0.2 * row) if angular else x - 0.2 * row)
            total += (row / row.sum()) @ (np.log(np.exp(z).sum()) - z) / len(u)
    return total


def of_dpn(u, labels, state, params, square=0.0):
    losses = [
        sum(np.maximum(0, 1 - x * state["centers"][c]).sum() for c in np.flatnonzero(row))
        for x, row in zip(u, rows_of(labels), strict=True)
    ]
    return np.mean(losses) + square * np.square(u).mean()


def of_greedyhash(u, labels, state, params):
    assert "bias" not in params["classes"]
    return cross_entropy(classify(sign(u), params), labels) + 0.1 * magnitude(u, 3).mean()


def of_jmlh(u, labels, state, params):
    p = sigmoid(u)
    divergence = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    return cross_entropy(classify(u > 0, params), labels) + 0.2 * divergence.sum(1).mean()


def of_ssdh_supervised(u, labels, state, params):
    a = sigmoid(u)
    binary, balance = np.square(a - 0.5).mean(), np.square(a.mean(1) - 0.5).mean()
    return cross_entropy(classify(a, params), labels) - binary / 2 + balance / 2


def of_hhf(u, labels, state, params):
    """Four linear codes of six bits are at most four bits apart: zeta = -1/3."""
    proxies, rows = np.float64(params["proxies"]), rows_of(labels).astype(bool)
    cosines = u @ proxies.T
    cosines /= np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(proxies, axis=1))
    far = np.exp(16 * np.maximum(0, 0.8 - cosines)) - 1
    near = np.exp(16 * np.maximum(0, cosines + 1 / 3 - 0.2)) - 1
    pulls = np.log(1 + (far * rows).sum(0))[rows.any(0)].mean()
    pushes = np.log(1 + (near * ~rows).sum(0)).mean()
    return pulls + pushes + 0.085 * np.square(u - sign(u)).sum(1).mean()


def of_dnnh(u, labels, state, params, epsilon=0.5):
    slices = u.reshape(len(u), L, SLICE) * np.float64(params["kernel"])
    h = sigmoid(slices.sum(2) + params["bias"])
    h = np.where(abs(h - 0.5) <= epsilon, h, h > 0.5)
    distance, s = squared(h), similarity(labels)
    means = []
    for q in range(len(u)):
        near, far = (distance[q][OTHERS[q] & kind] for kind in (s[q], ~s[q]))
        if len(near) and len(far):
            means.append(np.maximum(0, 1 + near[:, None] - far).mean())
    return np.mean(means)


EXPECTED = {
    "csq": of_csq,
    "orthohash": of_orthohash,
    "dpn": of_dpn,
    "greedyhash": of_greedyhash,
    "jmlh": of_jmlh,
    "ssdh_supervised": of_ssdh_supervised,
    "hhf": of_hhf,
    "dnnh": of_dnnh,
}


def outputs(name, seed=0):
    width = SLICE * L if name == "dnnh" else L
    return np.random.default_rng(seed).normal(size=(B, width)).astype(np.float32)


def prepared(name, labels, u, **fields):
    """Returns the state, and the head's variables and itself, if the method has one."""
    config, method, data = config_of(name, **fields), load(name), data_of(labels)
    _, state = method.prepare(config, data, jax.random.key(0))
    head = method.head(config, data)
    return state, head.init(jax.random.key(1), u, train=False) if head else {"params": {}}, head


def loss_of(name, labels, u, **fields):
    """Returns the loss as a function of the outputs and the labels, with what a test looks at."""
    config, method = config_of(name, **fields), load(name)
    state, variables, head = prepared(name, labels, u, **fields)

    def loss(u, labels):
        seen = head.apply(variables, u, train=False) if head else u
        total, aux = method.loss(seen, {"labels": labels}, state, config)
        return total, (aux, method.hash_outputs(seen))

    expected = EXPECTED[name](
        np.float64(u), labels, jax.tree.map(np.float64, state), variables["params"], **fields
    )
    return loss, expected


@pytest.mark.parametrize("name", ["csq", "orthohash", "greedyhash", "hhf"])
def test_the_objective_is_the_papers(name):
    """With class ids; how the others read these is tested with their losses."""
    u = outputs(name)
    loss, expected = loss_of(name, IDS, u)
    total, (aux, bits) = jax.jit(loss)(u, jnp.asarray(IDS))
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-6)
    assert all(np.shape(value) == () for value in aux.values())
    assert bits.shape == (B, L)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dpn", {"square": 0.3}),
        ("orthohash", {"angular": True}),
        ("dnnh", {"epsilon": 0.1}),
    ],
)
def test_what_is_off_by_default_is_in_the_objective(name, fields):
    u = outputs(name)
    loss, expected = loss_of(name, IDS, u, **fields)
    np.testing.assert_allclose(loss(u, jnp.asarray(IDS))[0], expected, rtol=1e-5)
    (_, off) = loss_of(name, IDS, u)
    assert abs(off - expected) > 1e-3 * abs(expected)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_objective_is_the_papers_with_several_labels(name):
    """It is finite at extreme outputs, and follows a permutation of the batch."""
    u, rows = outputs(name), LABELS["rows"]
    loss, expected = loss_of(name, rows, u)
    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (total, _), gradient = compiled(u, jnp.asarray(rows))
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-6)
    order = np.random.default_rng(1).permutation(B)
    (moved, _), moved_gradient = compiled(u[order], jnp.asarray(rows[order]))
    np.testing.assert_allclose(moved, total, rtol=1e-5)
    np.testing.assert_allclose(moved_gradient, gradient[order], rtol=1e-3, atol=1e-5)
    for extreme in (np.zeros_like(u), 1e4 * np.sign(u)):
        (total, _), gradient = compiled(extreme, jnp.asarray(rows))
        assert np.isfinite(total)
        assert np.isfinite(gradient).all()


def test_the_sign_passes_the_gradient_of_the_classifier_on():
    """As if the classifier saw the outputs themselves."""
    u = outputs("greedyhash")
    _, variables, head = prepared("greedyhash", IDS, u)
    weights = np.random.default_rng(2).normal(size=(B, C)).astype(np.float32)
    found = jax.grad(lambda u: (weights * head.apply(variables, u, False)["classes"]).sum())(u)
    kernel = variables["params"]["classes"]["kernel"]
    np.testing.assert_allclose(found, weights @ kernel.T, rtol=1e-5, atol=1e-6)


def test_centers_are_said_in_the_results():
    for name in ("csq", "orthohash", "dpn"):
        state, _, _ = prepared(name, IDS, outputs(name))
        results = load(name).extra_results(None, None, state)
        centers = np.asarray(state["centers"])
        apart = [(centers[i] != centers[j]).sum() for i in range(C) for j in range(i)]
        assert results == {"min_center_distance": min(apart)}


def test_dpn_renews_its_centers_by_the_majority_of_each_class():
    config, data, u = config_of("dpn", renew_every=2), data_of(LABELS["rows"]), outputs("dpn")
    _, state = dpn.prepare(config, data, jax.random.key(0))
    old = np.asarray(state["centers"])
    state, metrics = dpn.end_epoch(config, data, state, None, lambda indices: u[indices])
    np.testing.assert_array_equal(state["centers"], old)
    assert (int(state["epochs"]), metrics) == (1, {})
    state, metrics = dpn.end_epoch(config, data, state, None, lambda indices: u[indices])
    for c in range(C):
        votes = sign(u[LABELS["rows"][:, c] == 1]).sum(0)
        np.testing.assert_array_equal(
            state["centers"][c], np.where(votes == 0, old[c], np.sign(votes))
        )
    assert (int(state["epochs"]), metrics["renewed"]) == (2, 1)
    # Were all classes to get the same center, they keep those that they have.
    before = state["centers"]
    state, _ = dpn.end_epoch(config, data, state, None, None)
    state, metrics = dpn.end_epoch(config, data, state, None, lambda indices: abs(u[indices]))
    np.testing.assert_array_equal(state["centers"], before)
    assert (int(state["epochs"]), metrics) == (4, {"renewed": 0})
    # A class without training images keeps its center.
    data = data_of(LABELS["rows"] * np.uint8([1, 1, 0]))
    config.method.renew_every = 1
    new, _ = dpn.end_epoch(config, data, state, None, lambda indices: u[indices])
    np.testing.assert_array_equal(new["centers"][2], state["centers"][2])


def test_a_divergence_from_fair_bits_is_finite():
    u = np.float32([[0, 0], [1e4, -1e4], [100, -0.5]])
    value, gradient = jax.value_and_grad(lambda u: jmlh.divergence(u).sum())(u)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(jmlh.divergence(u)[:2], [0, 2 * np.log(2)], atol=1e-6)


@pytest.mark.parametrize("noise", [False, True])
def test_bits_of_jmlh_are_drawn_if_its_noise_is_on(noise):
    head = jmlh.head(config_of("jmlh", noise=noise), data_of(LABELS["ids"]))
    u = outputs("jmlh")
    variables = head.init(jax.random.key(0), u, train=False)
    logits = [
        head.apply(variables, u, train=True, rngs={"dropout": jax.random.key(seed)})["classes"]
        for seed in (1, 2)
    ]
    assert (np.abs(logits[0] - logits[1]).max() > 1e-3) == noise
    fixed = head.apply(variables, u, train=False)["classes"]
    np.testing.assert_allclose(fixed, classify(u > 0, variables["params"]), atol=1e-5)


def test_sigmoids_away_from_a_half_are_rounded():
    h = np.float32([0, 0.39, 0.41, 0.5, 0.59, 0.61, 1])
    rounded = dnnh.threshold(h, 0.1)
    np.testing.assert_array_equal(rounded, np.float32([0, 0, 0.41, 0.5, 0.59, 1, 1]))
    np.testing.assert_array_equal(dnnh.threshold(h, 0.5), h)
    gradient = jax.grad(lambda h: dnnh.threshold(h, 0.1).sum())(h)
    np.testing.assert_array_equal(gradient, [0, 0, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("name", EXPECTED)
def test_data_without_labels_are_refused(name):
    unlabeled = data_of(np.zeros((4, C), np.uint8))
    with pytest.raises(InputError, match=rf"of which no training image has a label.*{name} learns"):
        load(name).prepare(config_of(name), unlabeled, jax.random.key(0))


def test_too_few_bits_for_the_classes_are_named():
    config = config_of("csq")
    config.bits = 1
    with pytest.raises(InputError, match=r"^config\.bits: 1 given; allowed: 2 and more, as 3"):
        csq.prepare(config, data_of(IDS), jax.random.key(0))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("csq", "codes", "paley"),
        ("orthohash", "scale", 0.0),
        ("dpn", "renew_every", -1),
        ("greedyhash", "quantization", -1.0),
        ("jmlh", "beta", -1.0),
        ("ssdh_supervised", "balance", float("nan")),
        ("hhf", "alpha", 50.0),
        ("dnnh", "epsilon", 0.6),
    ],
)
def test_bad_fields_are_named(name, field, value):
    config = tiny.get_config()
    config.method = config_of(name, **{field: value}).method
    with pytest.raises(InputError, match=rf"config\.method\.{field}: "):
        build(workdirs.check("none", config))


def test_a_model_has_as_many_outputs_as_its_config_says():
    config = tiny.get_config()
    config.method = config_of("dnnh").method
    with pytest.raises(InputError, match=r"12 numbers per image given; allowed: 2, 3, .* times 12"):
        build(workdirs.check("none", config)).first()
    config.model.bits = 48
    params = build(workdirs.check("none", config)).first()["train_state"].params
    assert params["head"]["kernel"].shape == (12, 4)
    config.method = tiny.get_config().method
    with pytest.raises(InputError, match=r"\[48\] numbers; allowed: models that map it to \[12\]"):
        build(workdirs.check("none", config))
    config.model.bits = 0
    with pytest.raises(InputError, match=r"config\.model\.bits: 0 given"):
        build(workdirs.check("none", config))
