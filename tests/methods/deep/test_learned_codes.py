"""ADSH, DSDH, DDSH and CNNH against sums over all images, written out in float64."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.data import ArraySource, Data
from jhash.errors import InputError
from jhash.methods import training_rows
from jhash.methods.deep import adsh, cnnh, ddsh, dsdh, fdah
from jhash.solvers import similarity_factors

pytestmark = pytest.mark.usefixtures("quick_compilation")

BITS, CLASSES = 5, 4
FIELDS = {
    "adsh": {"queries": 12, "passes": 2, "gamma": 3.0, "sweeps": 1, "dissimilar": "balanced"},
    "dsdh": {"mu": 0.5, "nu": 2.0, "eta": 0.3, "sweeps": 1},
    "ddsh": {"columns": 6, "passes": 2},
    "cnnh": {"sweeps": 10},
}


def config(name, **fields):
    method = types.SimpleNamespace(name=name, **{**FIELDS[name], **fields})
    source = types.SimpleNamespace(source="own")
    return types.SimpleNamespace(method=method, bits=BITS, seed=0, batch_size=8, data=source)


@pytest.fixture(params=["class ids", "several labels"])
def data(request):
    """40 images, of which 30 in mixed order are the training set and the database."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 40)
    if request.param == "several labels":
        labels = (rng.random((40, CLASSES)) < 0.3).astype(np.int32)
        labels[np.arange(40), rng.integers(0, CLASSES, 40)] = 1
    order = rng.permutation(40)
    source = ArraySource(np.zeros((40, 2, 2, 1), np.uint8), labels)
    return Data(source, order[:30], order[:30][::-1], order[30:])


def outputs_of(count, seed=1):
    return np.random.default_rng(seed).normal(size=(count, BITS)).astype(np.float32)


def encoder(outputs, indices):
    """Gives each image its outputs, and no others in their place."""
    table = np.full((40, BITS), np.nan, np.float32)
    table[indices] = outputs
    return lambda asked: jnp.asarray(table[asked])


def similar(data, rows, columns):
    """A, float64: whether two images share a label."""
    labels = data.source.labels
    if labels.ndim == 1:
        labels = np.eye(CLASSES)[labels]
    return (labels[rows] @ labels[columns].T > 0).astype(np.float64)


def batch_of(data, indices):
    return {"labels": jnp.asarray(data.labels(indices)), "index": jnp.asarray(indices)}


@pytest.mark.parametrize("dissimilar", adsh.DISSIMILAR)
def test_adsh_is_the_sum_over_all_images(data, dissimilar):
    settings = config("adsh", dissimilar=dissimilar)
    _, state = adsh.prepare(settings, data, jax.random.key(0))
    a = similar(data, data.train, data.train)
    low = -1.0 if dissimilar == "minus_one" else -a.sum() / (a.size - a.sum())
    queries, u = data.train[3:9], outputs_of(6)
    s = np.where(similar(data, queries, data.train) > 0, 1.0, low)
    v = np.asarray(state["codes"], np.float64)

    def expected(outputs):
        u = jnp.tanh(outputs)
        own = jnp.square(v[3:9] - u).sum()
        return (jnp.square(u @ v.T - BITS * s).sum() + 3.0 * own) / (6 * 30 * BITS)

    found = jax.value_and_grad(lambda z: adsh.loss(z, batch_of(data, queries), state, settings)[0])
    value, gradient = found(u)
    with jax.enable_x64(True):
        correct, slope = jax.value_and_grad(expected)(u.astype(np.float64))
    np.testing.assert_allclose(value, correct, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=2e-6)


@pytest.mark.parametrize("dissimilar", adsh.DISSIMILAR)
def test_adsh_solves_each_bit_of_all_images(data, dissimilar):
    settings = config("adsh", dissimilar=dissimilar)
    _, state = adsh.prepare(settings, data, jax.random.key(0))
    drawn = np.sort(data.train[:12])
    rows = [np.flatnonzero(data.train == index)[0] for index in drawn]
    outputs = outputs_of(12)
    encode = encoder(outputs, drawn)
    new, metrics = adsh.end_epoch(settings, data, state, np.tile(drawn, 2), encode)
    u, v = np.tanh(outputs.astype(np.float64)), np.asarray(state["codes"], np.float64)
    s = np.where(similar(data, drawn, data.train) > 0, 1.0, float(state["dissimilar"]))

    def objective(v):
        return ((u @ v.T - BITS * s) ** 2).sum() + 3.0 * ((v[rows] - u) ** 2).sum()

    before = objective(v)
    for bit in range(BITS):
        for image in range(30):
            values = []
            for sign in (-1, 1):
                v[image, bit] = sign
                values.append(objective(v))
            v[image, bit] = (-1, 1)[int(np.argmin(values))]
    np.testing.assert_array_equal(new["codes"], v)
    assert objective(v) < before
    changed = (np.asarray(state["codes"]) != v).mean()
    np.testing.assert_allclose(metrics["changed_bits"], changed, rtol=1e-6)
    np.testing.assert_allclose(new["gram"], v.T @ v)
    # What the loss reads is of the new codes.
    again = adsh.prepare(settings, data, jax.random.key(0))[1] | {"codes": new["codes"]}
    sums = np.zeros((len(state["counts"]), BITS))
    for row, group in enumerate(np.asarray(again["groups"])):
        sums[group] += v[row]
    np.testing.assert_array_equal(new["code_sums"], sums)
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


def test_dsdh_solves_the_classifier_and_then_each_bit(data):
    settings = config("dsdh")
    _, state = dsdh.prepare(settings, data, jax.random.key(0))
    outputs = outputs_of(30)
    encode = encoder(outputs, data.train)
    new, metrics = dsdh.end_epoch(settings, data, state, data.train, encode)
    b = np.asarray(state["codes"], np.float64)
    labels = data.labels(data.train)
    y = np.eye(CLASSES)[labels] if labels.ndim == 1 else labels.astype(np.float64)

    def objective(b, w):
        own = 0.3 * ((b - outputs) ** 2).sum()
        return 0.5 * ((y - b @ w) ** 2).sum() + 2.0 * (w**2).sum() + own

    w = np.linalg.solve(b.T @ b + 2.0 / 0.5 * np.eye(BITS), b.T @ y)
    before = objective(b, w)
    for bit in range(BITS):
        for image in range(30):
            values = []
            for sign in (-1, 1):
                b[image, bit] = sign
                values.append(objective(b, w))
            b[image, bit] = (-1, 1)[int(np.argmin(values))]
    np.testing.assert_array_equal(new["codes"], b)
    assert objective(b, w) < before
    np.testing.assert_allclose(
        metrics["bit_error_rate"], (np.where(outputs > 0, 1, -1) != b).mean(), rtol=1e-6
    )


def test_dsdh_draws_outputs_to_their_own_codes(data):
    settings = config("dsdh")
    _, state = dsdh.prepare(settings, data, jax.random.key(0))
    indices, u = data.train[4:10], outputs_of(6).astype(np.float64)
    total, terms = dsdh.loss(outputs_of(6), batch_of(data, indices), state, settings)
    assert total == terms["likelihood"] + terms["distance"]
    b = np.asarray(state["codes"], np.float64)[4:10]
    np.testing.assert_allclose(
        terms["distance"], 0.3 / 30 * ((b - u) ** 2).sum(1).mean(), rtol=1e-5
    )
    a, theta = similar(data, indices, indices), u @ u.T / 2
    values = np.logaddexp(0, theta) - a * theta
    expected = values[~np.eye(6, dtype=bool)].mean()
    np.testing.assert_allclose(terms["likelihood"], expected, rtol=1e-5)


def test_ddsh_is_the_sum_over_drawn_and_other_images(data):
    settings = config("ddsh")
    _, state = ddsh.prepare(settings, data, jax.random.key(0))
    columns = np.asarray(state["columns"])
    assert len(np.unique(columns)) == 6
    assert np.isin(columns, data.train).all()
    others = np.unique(ddsh.begin_epoch(settings, data, state, 0, jax.random.key(1)))
    np.testing.assert_array_equal(others, np.setdiff1d(data.train, columns))

    a = similar(data, data.train, columns)
    low = -a.sum() / (a.size - a.sum())
    np.testing.assert_allclose(state["dissimilar"], low, rtol=1e-6)
    indices, outputs = others[:7], outputs_of(7)
    s = np.where(similar(data, indices, columns) > 0, 1.0, low)
    inner = np.tanh(outputs.astype(np.float64)) @ np.asarray(state["codes"], np.float64).T
    expected = ((inner - BITS * s) ** 2).mean() / BITS
    found, _ = ddsh.loss(outputs, batch_of(data, indices), state, settings)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_ddsh_solves_bits_that_no_flip_improves(data):
    """Bit k alone counts, given the bits before it, as in the authors' program."""
    settings = config("ddsh")
    _, state = ddsh.prepare(settings, data, jax.random.key(0))
    outputs = outputs_of(30)
    encode = encoder(outputs, data.train)
    new, _ = ddsh.end_epoch(settings, data, state, data.train, encode)
    columns = np.asarray(new["columns"])
    assert int(new["round"]) == 1
    assert set(columns) != set(np.asarray(state["columns"]))
    solved = np.asarray(new["codes"], np.float64)
    own = [np.flatnonzero(data.train == index)[0] for index in columns]
    codes = np.where(outputs > 0, 1.0, -1.0)
    s = np.where(similar(data, data.train, columns) > 0, 1.0, float(new["dissimilar"]))
    others = np.setdiff1d(np.arange(30), own)

    def objective(o, bits):
        g = codes[others, :bits] @ o[:, :bits].T
        oo = o[:, :bits] @ o[:, :bits].T
        return ((BITS * s[others] - g) ** 2).sum() + ((BITS * s[own] - oo) ** 2).sum()

    for bit in range(BITS):
        best = objective(solved, bit + 1)
        for image in range(len(columns)):
            flipped = solved.copy()
            flipped[image, bit] *= -1
            assert objective(flipped, bit + 1) >= best - 1e-3
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


def test_ddsh_leaves_images_to_train_on(data):
    with pytest.raises(InputError, match=r"config\.method\.columns: 30 given; allowed: up to 29"):
        ddsh.prepare(config("ddsh", columns=30), data, jax.random.key(0))


def test_factors_are_those_of_all_samples():
    """A group with n samples is n rows; each sweep lowers the sum; no number alone can lower it."""
    rng = np.random.default_rng(0)
    counts = np.array([1, 4, 2, 5, 3])
    s, start = 2.0 * np.eye(5) - 1, rng.uniform(-1, 1, (5, 6))
    whole = np.repeat(np.repeat(s, counts, axis=0), counts, axis=1)

    def objective(factors):
        rows = np.repeat(factors, counts, axis=0)
        return ((rows @ rows.T - 6 * whole) ** 2).sum()

    found = [similarity_factors.factor(s, counts, start, sweeps=n) for n in (0, 1, 2, 4, 100)]
    np.testing.assert_array_equal(found[0], start)
    values = [objective(factors) for factors in found]
    assert (np.diff(values) < 0).all()
    assert np.abs(found[-1]).max() <= 1
    assert len(np.unique(np.sign(found[-1]), axis=0)) == 5
    for place in np.ndindex(5, 6):
        for change in (-1e-3, 1e-3):
            other = found[-1].copy()
            other[place] = np.clip(other[place] + change, -1, 1)
            assert objective(other) > values[-1] - 1e-6


def test_cnnh_trains_on_the_codes_of_stage_1(data):
    settings = config("cnnh")
    _, state = cnnh.prepare(settings, data, jax.random.key(0))
    params, new = cnnh.pretrain(settings, data, {"a": 1}, state, "unused")
    assert params == {"a": 1}
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
    codes = cnnh.learned_codes(settings, data, new)
    a = similar(data, data.database, data.database)
    inner = codes.astype(int) @ codes.T / BITS
    assert inner[a > 0].mean() > inner[a == 0].mean() + 0.5
    indices, z = data.train[2:9], outputs_of(7).astype(np.float64)
    position = {index: row for row, index in enumerate(data.database)}
    bits = codes[[position[index] for index in indices]] > 0
    expected = np.logaddexp(0, np.where(bits, -z, z)).mean()
    found, aux = cnnh.loss(outputs_of(7), batch_of(data, indices), new, settings)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(aux["bit_error_rate"], ((z > 0) != bits).mean(), rtol=1e-6)
    assert cnnh.head(settings, data) is None

    plus = config("cnnh", classification=3.0)
    logits = np.random.default_rng(8).normal(size=(7, BITS + CLASSES)).astype(np.float32)
    logits[:, :BITS] = z
    outputs = cnnh.head(plus, data).apply({}, logits, train=True)
    np.testing.assert_array_equal(cnnh.hash_outputs(outputs), logits[:, :BITS])
    y, batch = np.float64(logits[:, BITS:]), batch_of(data, indices)
    if batch["labels"].ndim == 1:
        labels = np.eye(CLASSES)[batch["labels"]]
        terms = -(y * labels).sum(1) + np.log(np.exp(y).sum(1))
    else:
        terms = np.logaddexp(0, np.where(batch["labels"] > 0, -y, y)).sum(1)
    found, _ = cnnh.loss(outputs, batch, new, plus)
    np.testing.assert_allclose(found, expected + 3 * terms.mean(), rtol=1e-5)


def test_learned_codes_are_in_the_order_of_the_database(data):
    codes = np.where(outputs_of(30) > 0, 1, -1)
    found = training_rows.learned_codes(data, codes)
    np.testing.assert_array_equal(found, codes[::-1])
    other = Data(data.source, data.train[1:], data.database, data.queries)
    assert training_rows.learned_codes(other, codes[1:]) is None


@pytest.mark.parametrize("module", [adsh, fdah])
def test_queries_are_drawn_without_repetition_and_shuffled_for_each_pass(data, module):
    method = types.SimpleNamespace(queries=12, passes=3)
    settings = types.SimpleNamespace(method=method)
    passes = module.begin_epoch(settings, data, {}, 0, jax.random.key(0)).reshape(3, 12)
    for order in passes:
        np.testing.assert_array_equal(np.sort(order), np.sort(passes[0]))
        assert len(np.unique(order)) == 12
    assert not np.array_equal(passes[0], passes[1])
    assert np.isin(passes, data.train).all()
