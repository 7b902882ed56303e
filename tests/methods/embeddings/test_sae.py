"""The stacked autoencoder and its training on a graph."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.sparse
import scipy.sparse.csgraph
from sklearn.metrics.pairwise import cosine_similarity

from jhash import parallel
from jhash.errors import InputError
from jhash.losses import graph as losses
from jhash.methods import graph_autoencoder
from jhash.methods.embeddings import sae, sdne
from jhash.models import stacked_autoencoder
from jhash.solvers import factored_graph, knn_graph
from tests.support import kills

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
OPTIONS = {"hidden": (24, 20), "pretrain_epochs": 2, "epochs": 3, "batch": 32, "beta": 1e-4}


@pytest.fixture(scope="module")
def features():
    """Five clusters of 20 features, around 0."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(5, 12))
    features = centers[np.arange(100) % 5] + 0.2 * rng.normal(size=(100, 12))
    return (features - features.mean(0)).astype(np.float32)


@pytest.mark.slow
def test_encoder_and_decoder_are_equation_2():
    rng = np.random.default_rng(1)
    params = stacked_autoencoder.init(KEY, (9, 6, 4), 0.2)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), params)
    rows = rng.normal(size=(5, 9)).astype(np.float32)
    first = np.tanh(0.2 * (rows @ params[0]["kernel"] + params[0]["bias"]))
    codes = np.tanh(0.2 * (first @ params[1]["kernel"] + params[1]["bias"]))
    back = np.tanh(0.2 * (codes @ params[1]["kernel_back"] + params[1]["bias_back"]))
    rows_back = np.tanh(0.2 * (back @ params[0]["kernel_back"] + params[0]["bias_back"]))
    outputs = stacked_autoencoder.encode(params, rows, 0.2)
    for output, expected in zip(outputs, (rows, first, codes), strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-5)
    outputs = stacked_autoencoder.decode(params, codes, 0.2)
    for output, expected in zip(outputs, (rows_back, back, codes), strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_the_hidden_layers_take_part_in_the_second_order_loss():
    """Eq. 4 has terms for the outputs f^(2), f^(4), ... that have a reconstruction."""
    options = sae.DEFAULTS
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(5, 30)).astype(np.float32)
    init = functools.partial(stacked_autoencoder.init, widths=(30, *options.hidden, 8), slope=0.2)
    like = jax.eval_shape(init, KEY)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), like)

    @jax.jit
    def terms(params, rows):
        outputs = stacked_autoencoder.encode(params, rows, options.slope)
        back = stacked_autoencoder.decode(params, outputs[-1], options.slope)
        loss = losses.second_order_loss(outputs[:-1], back[:-1], mu=options.mu)
        return outputs, back, loss

    outputs, back, found = terms(params, rows)
    errors = [np.square(np.subtract(x, y)).sum(1) for x, y in zip(outputs, back, strict=True)]
    assert (errors[2] > 1).all()
    np.testing.assert_allclose(found, 0.7 * errors[0] + 0.3 * errors[2], rtol=1e-5)
    # "SDNE" against "SDNE + SAE": the same layers, without eq. 4 and without training one by one.
    assert sdne.DEFAULTS.hidden == options.hidden
    assert (sdne.DEFAULTS.mu, sdne.DEFAULTS.pretrain_epochs) == (1, 0)
    assert options.pretrain_epochs


@pytest.mark.slow
def test_activations_keep_their_size_at_the_start():
    rows = np.random.default_rng(2).normal(size=(200, 400)).astype(np.float32)
    params = stacked_autoencoder.init(KEY, (400, 300, 200), 0.2)
    for outputs in stacked_autoencoder.encode(params, rows, 0.2)[1:]:
        assert 0.4 < np.std(outputs) < 1


@pytest.mark.slow
def test_a_principal_first_layer_is_the_same_as_one_of_the_rows(features):
    """From the factors alone, what NumPy finds in the rows of the graph."""
    graph = factored_graph.euclidean(jnp.asarray(features))
    layer = stacked_autoencoder.first_layer(graph, 6, KEY, 0.2, 0.5)
    rows = np.float64(factored_graph.rows(graph, np.arange(100)))
    centered = rows - rows.mean(0)
    components = np.linalg.svd(centered, full_matrices=False)[2][:6]
    kernel = np.float64(layer["kernel"])
    # The same subspace, no more: its rotation is a random one.
    np.testing.assert_allclose(
        components.T @ (components @ kernel), kernel, atol=3e-3 * kernel.std()
    )
    before = 0.2 * (rows @ kernel + layer["bias"])
    np.testing.assert_allclose(before.mean(0), 0, atol=1e-4)
    assert before.std() == pytest.approx(0.5, rel=1e-3)
    reconstruction = stacked_autoencoder.decode([layer], jnp.tanh(before), 0.2)[0]
    best = np.square(centered - centered @ components.T @ components).sum()
    # The tanh of the decoder falls short of weights near 1.
    assert np.square(reconstruction - rows).sum() < best + 0.1 * np.square(centered).sum()


@pytest.mark.slow
@pytest.mark.parametrize("codes", [False, True])
def test_a_principal_later_layer_has_a_way_back(features, codes):
    inputs = np.tanh(features)
    gain = 2.0 if codes else 0.5
    layer = stacked_autoencoder.later_layer(jnp.asarray(inputs), 6, KEY, 0.2, gain, codes=codes)
    outputs = stacked_autoencoder.encode([layer], inputs, 0.2)[-1]
    assert np.abs(outputs).mean() > (0.6 if codes else 0.3)
    error = stacked_autoencoder.decode([layer], outputs, 0.2)[0] - inputs
    assert np.square(error).mean() < (0.4 if codes else 0.2) * np.square(inputs).mean()


@pytest.mark.slow
def test_clusters_get_codes_of_their_own(features, tmp_path):
    codes = sae.embed(features, 8, KEY, str(tmp_path), **OPTIONS)
    assert codes.shape == (100, 8)
    bits = codes >= 0
    same = (bits[:, None] == bits[None]).mean(2)
    cluster = np.arange(100) % 5
    inside = cluster[:, None] == cluster
    assert same[inside].mean() > 0.9
    assert same[~inside].mean() < 0.7
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 10))
    assert {"reconstruction_0", "reconstruction_1", "reconstruction_2"} < {
        name for line in lines for name in line
    }
    assert lines[-1]["second_order"] < lines[6]["second_order"]


@pytest.mark.slow
def test_without_epochs_the_codes_are_those_of_the_start(features, tmp_path):
    untrained = OPTIONS | {"pretrain_epochs": 0, "epochs": 0}
    codes = sae.embed(features, 8, KEY, str(tmp_path / "principal"), **untrained)
    assert np.abs(codes).mean() > 0.6
    codes = sae.embed(features, 8, KEY, str(tmp_path / "random"), start="random", **untrained)
    params = stacked_autoencoder.init(jax.random.split(KEY, 3)[0], (100, 24, 20, 8), 0.2)
    rows = factored_graph.rows(factored_graph.cosine(jnp.asarray(features)), np.arange(100))
    expected = stacked_autoencoder.encode(params, rows, 0.2)[-1]
    np.testing.assert_allclose(codes, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"start": "principal"},
        {"start": "random"},
        {"first_order": "neighbors", "beta": 100.0},
    ],
)
def test_a_killed_training_ends_with_the_same_bits(features, tmp_path, changed):
    options = OPTIONS | changed | {"hidden": (24,)}
    whole = sae.embed(features, 8, KEY, str(tmp_path / "whole"), **options)
    # In the middle of the first layer, of the code layer, and of the whole stack.
    for epochs in (1, 2, 2):
        with kills.during(graph_autoencoder._Phase, "epoch", kills.after(epochs)):
            sae.embed(features, 8, KEY, str(tmp_path / "broken"), **options)
    broken = sae.embed(features, 8, KEY, str(tmp_path / "broken"), **options)
    np.testing.assert_array_equal(whole, broken)
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "broken")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_the_sums_of_the_whole_graph_stay_true(features, tmp_path):
    graph = factored_graph.cosine(jnp.asarray(features))
    options = graph_autoencoder.Options(**OPTIONS)
    phase = graph_autoencoder._Phase(graph, None, options, None, 4)
    params = stacked_autoencoder.init(KEY, (100, 24, 20, 8), 0.2)
    state = phase.begin(params)
    codes = stacked_autoencoder.encode(params, factored_graph.rows(graph, np.arange(100)), 0.2)[-1]
    np.testing.assert_allclose(state["codes"], codes, atol=1e-6)
    _, state, metrics_by_step = phase.epoch(params, state, np.arange(100), [])
    metrics = phase.means(state, metrics_by_step)
    np.testing.assert_allclose(state["sums"], graph.right.T @ state["codes"], atol=1e-4)
    h, u = np.float64(state["codes"]), np.float64(factored_graph.rows(graph, np.arange(100)))
    expected = (u * np.square(h[:, None] - h).sum(2)).sum() / 100
    assert metrics["first_order"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_step_follows_equation_7(features, monkeypatch):
    """The gradient of one batch of all nodes is that of the sums over nodes and over pairs."""
    monkeypatch.setattr(parallel, "training_devices", lambda batch, idle: 1)
    monkeypatch.setattr(graph_autoencoder.optax, "adam", optax.sgd)
    nodes, weights = 14, {"mu": 0.7, "alpha": 0.9, "beta": 0.099, "gamma": 0.01}
    options = graph_autoencoder.Options(hidden=(6, 5), epochs=1, learning_rate=1.0, **weights)
    graph = factored_graph.cosine(jnp.asarray(features[:nodes]))
    phase = graph_autoencoder._Phase(graph, None, options._replace(batch=nodes), None, 1)
    params = stacked_autoencoder.init(KEY, (nodes, 6, 5, 3), 0.2)
    before = jax.device_get(params)
    after, _, _ = phase.epoch(params, phase.begin(params), np.arange(nodes), [])

    def equation_7(params, u):
        outputs = [u]
        for layer in params:
            outputs.append(jnp.tanh(0.2 * (outputs[-1] @ layer["kernel"] + layer["bias"])))
        h = back = outputs[-1]
        errors = []
        for layer, output in zip(params[::-1], outputs[-2::-1], strict=True):
            back = jnp.tanh(0.2 * (back @ layer["kernel_back"] + layer["bias_back"]))
            errors.append(jnp.square(output - back).sum())
        second = 0.7 * errors[2] + 0.3 * errors[0]  # Of the rows, and of the second hidden layer.
        first = (u * jnp.square(h[:, None] - h).sum(2)).sum()
        kernels = [layer[name] for layer in params for name in ("kernel", "kernel_back")]
        squares = sum(jnp.square(kernel).sum() for kernel in kernels) / 2
        return (0.9 * second + 0.099 * first + 0.01 * squares) / nodes

    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.float64(leaf)), before)
        expected = jax.grad(equation_7)(exact, jnp.asarray(cosine_similarity(features[:nodes])))
    for old, new, gradient in zip(before, after, expected, strict=True):
        for name, value in gradient.items():
            # The steps of kernels are divided by the root of their inputs.
            inputs = len(value) if value.ndim > 1 else 1
            found = (old[name] - np.asarray(new[name])) * inputs**0.5
            np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-4 * np.abs(value).max())


@pytest.mark.slow
def test_neighbors_alone_are_drawn_together(features, tmp_path):
    """The gradient of L_fo is that of the Laplacian, which scikit-learn and SciPy make."""
    cosines = np.clip(cosine_similarity(np.float64(features)), 0, None)
    np.fill_diagonal(cosines, 0)
    nearest = np.argsort(-cosines, axis=1)[:, :15]
    joined = np.zeros((100, 100), bool)
    np.put_along_axis(joined, nearest, True, axis=1)
    joined |= joined.T
    laplacian = scipy.sparse.csgraph.laplacian(cosines * joined, normed=True)
    graph = factored_graph.cosine(jnp.asarray(features))
    near = graph_autoencoder._neighbors(features)
    options = graph_autoencoder.Options(**OPTIONS | {"first_order": "neighbors"})
    phase = graph_autoencoder._Phase(graph, near, options, None, 4)
    params = stacked_autoencoder.init(KEY, (100, 24, 20, 8), 0.2)
    state = phase.begin(params)
    h_NxL = np.float64(state["codes"])
    expected = 2 * np.trace(h_NxL.T @ laplacian @ h_NxL)
    assert phase._first_order(state["codes"]) == pytest.approx(expected, rel=1e-4)
    everyone = np.arange(100)
    share = functools.partial(
        losses.first_order_share,
        degrees_B=knn_graph.joined(near),
        pull_BxL=knn_graph.sums(near, state["codes"], everyone),
    )
    gradient = jax.grad(lambda h_NxL: share(h_NxL).sum())(state["codes"])
    np.testing.assert_allclose(gradient, 4 * laplacian @ h_NxL, atol=2e-5)
    # Trained on little else, codes of neighbors become alike.
    shares = []
    for beta in (0.0, 100.0):
        options = options._replace(beta=beta, pretrain_epochs=0, learning_rate=1e-2)
        codes = graph_autoencoder.train(features, 8, KEY, str(tmp_path / str(beta)), options)
        h_NxL = np.float64(codes)
        shares.append(np.trace(h_NxL.T @ laplacian @ h_NxL) / np.square(h_NxL).sum())
    assert shares[1] < 0.8 * shares[0]


def test_samples_without_neighbors_take_no_part():
    weights = scipy.sparse.csr_array(
        np.float32([[0, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0] * 4])
    )
    normal = knn_graph.normalized(weights)
    lists = knn_graph.lists(normal)
    assert lists.columns.shape == lists.weights.shape == (4, 2)
    values = np.float32([[1, 2], [3, 4], [5, 6], [7, 8]])
    found = knn_graph.sums(lists, values, np.array([3, 0, 2]))
    np.testing.assert_allclose(found, (normal @ values)[[3, 0, 2]], rtol=1e-6)
    np.testing.assert_array_equal(knn_graph.joined(lists), [1, 1, 1, 0])
    loss = losses.normalized_first_order_loss(values, knn_graph.joined(lists), normal @ values)
    d = np.sqrt([3, 2, 1])
    expected = sum(
        weights[i, j] * np.square(values[i] / d[i] - values[j] / d[j]).sum()
        for i in range(3)
        for j in range(3)
    )
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "first_order"), [(1, "graph"), (None, "graph"), (None, "near")])
def test_one_device_and_eight_do_the_same(features, layer, first_order, monkeypatch):
    graph = factored_graph.cosine(jnp.asarray(features))
    near = graph_autoencoder._neighbors(features) if first_order == "near" else None
    heavy = {} if near is None else {"first_order": "neighbors", "beta": 100.0}
    options = graph_autoencoder.Options(**OPTIONS | heavy)
    results = []
    for devices in (1, 8):
        monkeypatch.setattr(
            parallel, "training_devices", lambda batch, idle, devices=devices: devices
        )
        phase = graph_autoencoder._Phase(graph, near, options, layer, 4)
        params = stacked_autoencoder.init(KEY, (100, 24, 20, 8), 0.2)
        state = phase.begin(params)
        params, state, metrics = phase.epoch(params, state, np.arange(100)[::-1], [])
        assert len(metrics) == 4
        results.append(jax.device_get((params, state, metrics)))
    one, eight = results
    # Adam divides by the size of a gradient, so that rounding in a tiny one is not tiny.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4), eight, one)


@pytest.mark.slow
def test_rows_are_made_by_batch(monkeypatch):
    """Temporary memory grows with N, not with its square."""
    monkeypatch.setattr(parallel, "training_devices", lambda batch, idle: 1)
    sizes = []
    for nodes in (2000, 4000):
        graph = factored_graph.cosine(jnp.ones((nodes, 8)))
        phase = graph_autoencoder._Phase(
            graph, None, graph_autoencoder.Options(hidden=(16,), batch=20), None, nodes // 20
        )
        params = jax.eval_shape(
            lambda nodes=nodes: stacked_autoencoder.init(KEY, (nodes, 16, 8), 0.2)
        )
        state = jax.eval_shape(phase.empty, params)
        batch = jax.ShapeDtypeStruct((20,), np.int32)
        memory = phase._step.lower(params, state, (graph, None), batch).compile().memory_analysis()
        sizes.append(memory.temp_size_in_bytes)
    assert sizes[1] < 2.2 * sizes[0]
    assert sizes[1] < 4000 * 4000


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"metric": "l1"}, "metric: 'l1' given; allowed: cosine, euclidean, diffused"),
        ({"slope": 0.0}, "slope: 0.0 given; allowed: a finite number above 0, up to 1"),
        ({"mu": 1.5}, "mu: 1.5 given; allowed: a number from 0 to 1"),
        ({"beta": -1.0}, "beta: -1.0 given; allowed: a finite number >= 0"),
        ({"batch": 101}, "batch: 101 given; allowed: 1 to 100, the number of nodes"),
        ({"hidden": (0,)}, r"hidden: \(0,\) given; allowed: a tuple of whole numbers, each 1 or"),
        ({"first_order": "all"}, "first_order: 'all' given; allowed: graph, neighbors"),
        ({"start": "svd"}, "start: 'svd' given; allowed: principal, random"),
    ],
)
def test_bad_options_are_named(features, tmp_path, option, message):
    with pytest.raises(InputError, match=f"^{message}"):
        sae.embed(features, 8, KEY, str(tmp_path), **OPTIONS | option)


def test_more_bits_than_the_last_layer_has_inputs_are_refused_before_it_trains(features, tmp_path):
    message = r"^bits: 17 given; allowed: 1 to 16, as each bit starts as a principal component"
    with pytest.raises(InputError, match=message):
        sae.check(100, 17, **OPTIONS | {"hidden": (30, 16)})
    with pytest.raises(InputError, match=message):
        sae.embed(features, 17, KEY, str(tmp_path), **OPTIONS | {"hidden": (30, 16)})
    assert not list(tmp_path.iterdir())
    sae.check(100, 17, **OPTIONS | {"hidden": (16,), "start": "random"})
