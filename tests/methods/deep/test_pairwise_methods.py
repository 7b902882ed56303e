"""Methods that learn from the pairs or triplets of a batch, against NumPy in float64.

The fields of the methods are those of their configs.
"""

import importlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.data import ArraySource, Data
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods import load
from jhash.methods.deep import dfh, dpsh, hashnet
from jhash.runs import workdirs
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

B, L, C = 8, 6, 3
IDS = np.array([0, 1, 0, 2, 1, 0, 2, 2], np.int32)
# The last image has no label: similar to none.
ROWS = np.uint8([[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 1, 1]])
ROWS = np.concatenate([ROWS, np.uint8([[0, 0, 0]])])
LABELS = {"ids": IDS, "rows": ROWS}
OTHERS = ~np.eye(B, dtype=bool)


def config_of(name, argument=f"bits={L}", **fields):
    config = importlib.import_module(f"configs.baselines.{name}").get_config(argument)
    config.method.update(fields)
    return config


def rows_of(labels):
    return np.eye(C)[labels] if labels.ndim == 1 else np.float64(labels)


def similarity(labels):
    rows = rows_of(labels)
    return rows @ rows.T > 0


def sp(x):
    return np.logaddexp(0, x)


def sign(u):
    return np.where(u > 0, 1, -1)


def magnitude(u, power=1):
    return np.abs(np.abs(u) - 1) ** power


def balanced(values, s):
    """The mean of the mean over similar and that over dissimilar pairs."""
    return (values[OTHERS & s].mean() + values[OTHERS & ~s].mean()) / 2


def likelihood(u, s, scale=0.5, margin=0.0):
    return sp(margin - np.where(s, 1, -1) * scale * (u @ u.T))


def squared(u):
    return np.square(u[:, None] - u).sum(2)


def cosines(u, v):
    return u @ v.T / np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1))


def of_dpsh(u, labels):
    pairs = likelihood(u, similarity(labels))[OTHERS].mean()
    return pairs + 50 / 5000 * np.square(u - sign(u)).sum(1).mean()


def of_dhn(u, labels):
    pairs = likelihood(u, similarity(labels))[OTHERS].mean()
    return pairs + 0.1 * np.log(np.cosh(np.abs(u) - 1)).mean()


def of_hashnet(u, labels, beta=1.0):
    """Before the first epoch is over, beta is 1."""
    s = similarity(labels)
    return balanced(likelihood(np.tanh(beta * u), s, scale=10 / L), s)


def of_dsh(u, labels):
    pairs = np.where(similarity(labels), squared(u), np.maximum(0, 2 * L - squared(u))) / 2
    return pairs[OTHERS].mean() + 2 * 0.01 * magnitude(u).sum(1).mean()


def of_dtsh(u, labels):
    s, theta, means = similarity(labels), u @ u.T / 2, []
    for q in range(B):
        near, far = (theta[q][OTHERS[q] & kind] for kind in (s[q], ~s[q]))
        if len(near) and len(far):
            means.append(sp(-(near[:, None] - far - L / 2)).mean())
    return np.mean(means) + 0.0044 * np.square(u - sign(u)).sum(1).mean()


def of_dch(u, labels):
    s = similarity(labels)
    distance = L / 2 * (1 - cosines(u, u)) + 1e-3
    pairs = s * np.log(distance / 20) + np.log(1 + 20 / distance)
    from_code = L / 2 * (1 - cosines(np.abs(u), np.ones((1, L))))
    return balanced(pairs, s) + 0.05 * np.log(1 + from_code / 20).mean()


def of_dfh(u, labels, centers, mu=1.0):
    rows = rows_of(labels)
    codes = sign(mu * rows / np.maximum(rows.sum(1, keepdims=True), 1) @ centers + u)
    pairs = likelihood(u, similarity(labels), margin=3)[OTHERS].mean()
    return pairs + 0.5 * np.square(codes - u).mean()


def of_idhn(u, labels):
    d = u / (1 + np.abs(u))
    rows = rows_of(labels)
    s = rows @ rows.T / np.sqrt(np.maximum(np.outer(rows.sum(1), rows.sum(1)), 1))
    t = 5 / L * (d @ d.T)
    soft = 0.1 * L * np.square((d @ d.T + L) / (2 * L) - s)
    pairs = np.where((s < 0.01) | (s > 0.99), sp(t) - s * t, soft)
    return pairs[OTHERS].mean() + 0.1 * magnitude(d).mean()


def histograms(u, labels):
    """Counts of the similar and of the dissimilar images at the ends of L / 2 intervals."""
    distance = (L - np.tanh(u / 2) @ np.tanh(u / 2).T) / 2
    place = np.abs(distance[..., None] - np.arange(0, L + 1, 2)) / 2
    shares = np.maximum(0, 1 - place) * OTHERS[..., None]
    s = similarity(labels)[..., None]
    return (shares * s).sum(1), (shares * ~s).sum(1)


def of_mihash(u, labels):
    near, far = histograms(u, labels)
    joint = np.stack([near, far], 2) / (B - 1)
    product = joint.sum(2, keepdims=True) * joint.sum(1, keepdims=True)
    terms = joint * np.log(np.where(joint > 0, joint, 1) / np.where(joint > 0, product, 1))
    return -terms.sum((1, 2)).mean()


def of_talr(u, labels):
    near, far = histograms(u, labels)
    so_far = np.cumsum(near, 1), np.cumsum(near + far, 1)
    precision = (2 * so_far[0] - near + 1) / (2 * so_far[1] - near - far + 1)
    total = near.sum(1)
    return -np.where(total > 0, (near * precision).sum(1) / np.maximum(total, 1), 0).mean()


EXPECTED = {
    "dpsh": of_dpsh,
    "dhn": of_dhn,
    "hashnet": of_hashnet,
    "dsh": of_dsh,
    "dtsh": of_dtsh,
    "dch": of_dch,
    "dfh": of_dfh,
    "idhn": of_idhn,
    "mihash": of_mihash,
    "talr": of_talr,
}


def outputs(seed=0):
    return np.random.default_rng(seed).normal(size=(B, L)).astype(np.float32)


def data_of(labels):
    """All but the last of the images train."""
    source = ArraySource(np.zeros((len(labels) + 1, 2, 2, 1), np.uint8), [*labels, labels[0]])
    everything = np.arange(len(labels) + 1)
    return Data(source, everything[:-1], everything[:-1], everything[-1:])


@pytest.mark.parametrize("name", EXPECTED)
def test_the_objective_is_the_papers(name):
    config, method, u = config_of(name), load(name), outputs()
    for labels in LABELS.values():
        _, state = method.prepare(config, data_of(labels), jax.random.key(0))
        batch = {"labels": jnp.asarray(labels), "index": jnp.arange(B)}
        loss = jax.jit(lambda u, batch=batch, state=state: method.loss(u, batch, state, config))
        total, aux = loss(u)
        centers = [np.float64(state["centers"])] if name == "dfh" else []
        expected = EXPECTED[name](np.float64(u), labels, *centers)
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-6)
        assert all(np.shape(value) == () for value in aux.values())


def test_dfh_weighs_the_centers_against_the_outputs():
    config, u = config_of("dfh", mu=0.4), outputs()
    _, state = dfh.prepare(config, data_of(IDS), jax.random.key(0))
    found, _ = dfh.loss(u, {"labels": jnp.asarray(IDS)}, state, config)
    centers = np.float64(state["centers"])
    expected = of_dfh(np.float64(u), IDS, centers, mu=0.4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert abs(of_dfh(np.float64(u), IDS, centers) - expected) > 1e-3


def table_loss(u, table, labels, all_labels):
    """As published: a batch against the table of all images, itself included."""
    s = rows_of(labels) @ rows_of(all_labels).T > 0
    theta = u @ table.T / 2
    pairs = (sp(theta) - s * theta).mean()
    return pairs + 0.01 * np.square(u - sign(u)).sum(1).mean()


@pytest.mark.parametrize("kind", LABELS)
def test_dpsh_as_published_pairs_a_batch_with_all_images(kind):
    config, all_labels = config_of("dpsh", f"bits={L},pairs=table"), np.tile(LABELS[kind].T, 2).T
    data = data_of(all_labels)
    data = Data(data.source, data.train[4:], data.database, data.queries)  # Rows are no indices.
    _, state = dpsh.prepare(config, data, jax.random.key(0))
    table = np.zeros((len(data.train), L))
    compiled = jax.jit(
        jax.value_and_grad(lambda u, batch, state: dpsh.loss(u, batch, state, config)[0])
    )
    for seed, index in enumerate((np.arange(4, 12), np.arange(15, 7, -1))):
        u = outputs(seed)
        batch = {"labels": jnp.asarray(all_labels[index]), "index": jnp.asarray(index)}
        total, gradient = compiled(u, batch, state)
        state = dpsh.after_step(u, batch, state, config)
        table[index - 4] = u
        expected = table_loss(np.float64(u), table, all_labels[index], all_labels[4:])
        np.testing.assert_allclose(total, expected, rtol=1e-5)
        np.testing.assert_array_equal(state["table"], np.float32(table))
    # The table is a constant: only the batch's own outputs have a gradient.
    step, u = 1e-6 * np.random.default_rng(9).normal(size=u.shape), np.float64(u)
    ends = [table_loss(u + e, table, all_labels[index], all_labels[4:]) for e in (step, -step)]
    np.testing.assert_allclose(np.vdot(gradient, step), (ends[0] - ends[1]) / 2, rtol=1e-3)


def test_hashnet_grows_its_slope_over_the_epochs():
    config = config_of("hashnet")
    config.epochs = 5
    _, state = hashnet.prepare(config, data_of(IDS), jax.random.key(0))
    loss = jax.jit(lambda state: hashnet.loss(outputs(), {"labels": IDS}, state, config))
    slopes = []
    for _ in range(config.epochs):
        value, aux = loss(state)
        slopes.append(aux["beta"])
        expected = of_hashnet(np.float64(outputs()), IDS, np.float64(slopes[-1]))
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        state, _ = hashnet.end_epoch(config, None, state, None, None)
    # The authors' sqrt(1 + 0.005 step) of 10,000 steps.
    np.testing.assert_allclose(slopes, np.sqrt(1 + 0.005 * np.arange(0, 10_000, 2_000)), rtol=1e-6)


def fisher_objective(centers, rows, codes, separation):
    classes = len(centers)
    target = L * (2 * np.eye(classes) - np.ones((classes, classes)))
    apart = np.square(centers @ centers.T - target).mean()
    return np.square(rows @ centers - codes).mean() + separation * apart


@pytest.mark.parametrize("kind", LABELS)
def test_dfh_never_raises_the_objective_of_its_centers(kind):
    rng = np.random.default_rng(4)
    rows = np.float32(rows_of(LABELS[kind]))
    improved = 0
    for separation in (0.0, 1.0, 100.0):
        centers, codes = (sign(rng.normal(size=(n, L))).astype(np.float32) for n in (C, B))
        found = np.asarray(dfh.renew(centers, rows, codes, separation=separation))
        assert set(np.unique(found)) <= {-1, 1}
        before, after = (
            fisher_objective(np.float64(c), rows, codes, separation) for c in (centers, found)
        )
        assert after <= before + 1e-9
        improved += after < before
        if separation == 0 and kind == "ids":
            # The fit alone: the majority of each class.
            sums = rows.T @ codes
            np.testing.assert_array_equal(found[sums != 0], np.sign(sums)[sums != 0])
    assert improved, "not all of them were the best already"


def test_dfh_renews_its_centers_from_all_training_images():
    config, data, u = config_of("dfh"), data_of(IDS), outputs()
    _, state = dfh.prepare(config, data, jax.random.key(0))
    new, metrics = dfh.end_epoch(config, data, state, None, lambda indices: u[indices])
    codes = sign(np.eye(C)[IDS] @ state["centers"] + u).astype(np.float32)
    expected = dfh.renew(state["centers"], np.eye(C, dtype=np.float32)[IDS], codes, separation=1.0)
    np.testing.assert_array_equal(new["centers"], expected)
    assert 1 <= metrics["distinct_centers"] <= C


@pytest.mark.parametrize("name", EXPECTED)
def test_a_batch_of_one_image_and_data_without_labels_are_refused(name):
    config, method = config_of(name), load(name)
    unlabeled = data_of(np.zeros((4, C), np.uint8))
    with pytest.raises(InputError, match=rf"of which no training image has a label.*{name} learns"):
        method.prepare(config, unlabeled, jax.random.key(0))
    config.batch_size = 1
    with pytest.raises(InputError, match=r"config\.batch_size: 1 given; allowed: 2 or more"):
        method.prepare(config, data_of(IDS), jax.random.key(0))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("dpsh", "pairs", "bank"),
        ("dhn", "quantization", -1.0),
        ("hashnet", "alpha", 0.0),
        ("dsh", "margin", 0.0),
        ("dtsh", "margin", -1.0),
        ("dch", "gamma", 0.0),
        ("dfh", "mu", float("nan")),
        ("idhn", "beta", -5.0),
        ("mihash", "bins", 0),
        ("talr", "slope", 0.0),
    ],
)
def test_bad_fields_are_named(name, field, value):
    config = tiny.get_config()
    config.method = config_of(name, **{field: value}).method
    with pytest.raises(InputError, match=rf"config\.method\.{field}: "):
        build(workdirs.check("none", config))


@pytest.mark.parametrize("name", ["mihash", "talr"])
def test_a_code_of_one_bit_has_a_histogram(name):
    config = types.SimpleNamespace(bits=1, method=config_of(name).method)
    batch = {"labels": jnp.asarray(IDS)}
    loss = lambda u: load(name).loss(u, batch, {}, config)[0]  # noqa: E731
    assert jax.eval_shape(loss, jax.ShapeDtypeStruct((B, 1), jnp.float32)).shape == ()
