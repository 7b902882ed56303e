"""Hash functions that learn from labels, against loops and solvers of SciPy and scikit-learn."""

import importlib
import inspect

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.special
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from configs.baselines import shallow
from jhash import retrieval
from jhash.errors import InputError
from jhash.methods import fitting
from jhash.methods.shallow import bre, bre_supervised, cosdish, fsdh, itq_cca, ksh, lfh, lsh, sdh
from jhash.solvers import draws, label_groups, reconstructive_embedding
from tests.support import clusters

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(3)
BITS = 6
SUPERVISED = ("itq_cca", "sdh", "fsdh", "ksh", "cosdish", "lfh", "bre_supervised")


def module(name):
    return importlib.import_module(f"jhash.methods.shallow.{name}")


@pytest.fixture(scope="module")
def data():
    """Features of four classes that overlap, and class ids."""
    return clusters.clusters([25, 20, 30, 25], 0.5)


@pytest.fixture(params=["ids", "rows"])
def labels(request):
    """Labels of 30 samples, and their similarity."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 3, 30)
    rows = np.eye(3)[ids]
    if request.param == "rows":
        rows = np.maximum(rows, rng.uniform(size=(30, 3)) > 0.8)
        ids = rows
    return ids, rows, rows @ rows.T > 0


def mean_average_precision(method, params, data):
    codes = np.asarray(retrieval.pack_codes(method.encode(params, data[0])))
    return retrieval.mean_average_precision(codes, codes, data[1], data[1], BITS)


@pytest.mark.parametrize("name", SUPERVISED)
def test_codes_of_a_class_are_alike_for_ids_and_rows_of_labels(name, data):
    features, ids = data
    method = module(name)
    params = method.fit(features, ids, BITS, KEY)
    outputs = np.asarray(method.encode(params, features))
    assert np.isfinite(outputs).all()
    assert outputs.shape == (len(features), BITS)
    baseline = mean_average_precision(lsh, lsh.fit(features, None, BITS, KEY), data)
    assert mean_average_precision(method, params, data) > baseline + 0.05
    if name not in ("sdh", "fsdh"):  # Their class codes are the luck of the draw.
        assert (outputs > 0).mean(0).min() > 0
        assert (outputs > 0).mean(0).max() < 1
    rows = method.fit(features, np.eye(4, dtype=np.uint8)[ids], BITS, KEY)
    # The order of classes, and so of sums, may be another.
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-3)  # noqa: E731
    jax.tree.map(close, params, rows)
    # The shapes of what is fitted do not depend on these fields.
    quick = method.fit(features, ids, BITS, KEY, **getattr(method, "QUICK", {}))
    assert jax.tree.map(np.shape, quick) == jax.tree.map(np.shape, params)


@pytest.mark.parametrize("name", SUPERVISED)
def test_features_that_are_all_alike_give_one_code(name, data):
    method, features = module(name), np.full_like(data[0], 0.1)
    outputs = np.asarray(method.encode(method.fit(features, data[1], BITS, KEY), features))
    assert np.isfinite(outputs).all()
    assert len(np.unique(np.asarray(retrieval.pack_codes(outputs)))) == 1


@pytest.mark.parametrize("name", shallow.METHODS)
def test_the_config_has_the_defaults_of_the_fit(name):
    parameters = inspect.signature(module(name).fit).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    fields = set(getattr(module(name), "FIELDS", {}))
    assert {field: defaults[field] for field in fields} == shallow.FIELDS[name]


def test_data_without_any_label_are_refused():
    class Unlabeled:
        multi_label, train = True, np.arange(3)

        def labels(self, indices):
            return np.zeros((len(indices), 2), np.uint8)

    check = fitting.functions("sdh", sdh)["check"]
    with pytest.raises(InputError, match=r"^config\.data\.source: .* no training image has a lab"):
        check(shallow.get_config("sdh"), Unlabeled())


def test_correlations_are_those_of_the_generalized_eigenproblem(data):
    features, ids = data
    directions, correlations = itq_cca.correlate(features, ids, 1e-4)
    x, y = features.astype(np.float64), np.eye(4)[ids]
    covariance = np.cov(np.column_stack([x, y]).T)
    cxx = covariance[:12, :12] + 1e-4 * np.eye(12)
    cyy = covariance[12:, 12:] + 1e-4 * np.eye(4)
    cxy = covariance[:12, 12:]
    squares, vectors = scipy.linalg.eigh(cxy @ np.linalg.solve(cyy, cxy.T), cxx)
    np.testing.assert_allclose(correlations[:3] ** 2, squares[::-1][:3], rtol=1e-9)
    assert (correlations <= 1).all()
    # Four classes have three directions.
    assert correlations[3] == 0
    vectors = vectors[:, ::-1][:, :3]
    vectors *= np.sign((vectors * directions[:, :3]).sum(0))
    np.testing.assert_allclose(directions[:, :3], vectors, rtol=1e-6, atol=1e-9)
    kernel = np.float64(itq_cca.fit(features, ids, BITS, KEY)["kernel"])
    assert np.linalg.matrix_rank(kernel, tol=1e-4) == 3
    # Directions are scaled by r; a rotation does not change the product.
    expected = (vectors * squares[::-1][:3]) @ vectors.T
    np.testing.assert_allclose(kernel @ kernel.T, expected, rtol=1e-3, atol=1e-3)


def descend(codes, linear, gram):
    """Sweeps of a loop over bits and samples, until one changes nothing."""
    codes = codes.copy()
    for _ in range(10):
        before = codes.copy()
        for k in range(BITS):
            others = [j for j in range(BITS) if j != k]
            for i in range(len(codes)):
                codes[i, k] = np.sign(linear[i, k] - codes[i, others] @ gram[others, k])
        if (codes == before).all():
            break
    return codes


def sdh_step(phi, y, codes, nu, p):
    w = np.linalg.inv(codes.T @ codes + np.eye(BITS)) @ codes.T @ y
    return descend(codes, y @ w.T + nu * phi @ p, w @ w.T)


def sdh_objective(phi, y, codes, nu, p):
    w = np.linalg.inv(codes.T @ codes + np.eye(BITS)) @ codes.T @ y
    loss = np.square(y - codes @ w).sum() + np.square(w).sum()
    return loss + nu * (np.square(codes - phi @ p).sum() + 1e-2 * np.square(p).sum())


def fsdh_step(phi, y, codes, nu, p):
    w = np.linalg.inv(y.T @ y + np.eye(y.shape[1])) @ y.T @ codes
    return np.where(y @ w + nu * phi @ p > 0, 1.0, -1.0)


def fsdh_objective(phi, y, codes, nu, p):
    w = np.linalg.inv(y.T @ y + np.eye(y.shape[1])) @ y.T @ codes
    loss = np.square(codes - y @ w).sum() + np.square(w).sum()
    return loss + nu * (np.square(codes - phi @ p).sum() + 1e-2 * np.square(p).sum())


@pytest.mark.parametrize(
    ("method", "step", "objective"),
    [(sdh, sdh_step, sdh_objective), (fsdh, fsdh_step, fsdh_objective)],
    ids=["sdh", "fsdh"],
)
def test_alternations_are_those_of_loops(method, step, objective, labels):
    rng = np.random.default_rng(2)
    phi = np.column_stack([rng.uniform(size=(30, 8)), np.ones(30)]).astype(np.float32)
    y, nu = labels[1].astype(np.float32), 0.3
    start = np.where(rng.normal(size=(30, BITS)) > 0, 1.0, -1.0)
    wide = phi.astype(np.float64)
    ridge = np.linalg.inv(wide.T @ wide + 1e-2 * np.eye(9)) @ wide.T
    codes, values = start, [objective(wide, y, start, nu, ridge @ start)]
    for _ in range(5):
        codes = step(wide, y, codes, nu, ridge @ codes)
        values.append(objective(wide, y, codes, nu, ridge @ codes))
    assert values == sorted(values, reverse=True)
    found, p = method.alternate(phi, y, start.astype(np.float32), nu=nu)
    np.testing.assert_array_equal(found, codes)
    np.testing.assert_allclose(p, ridge @ codes, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", [sdh, fsdh], ids=["sdh", "fsdh"])
def test_hash_outputs_are_the_ridge_regression_of_scikit_learn(method, data, monkeypatch):
    features, ids = data
    alternate, seen = method.alternate, []

    def record(*arguments, **fields):
        seen.append(alternate(*arguments, **fields))
        return seen[-1]

    monkeypatch.setattr(method, "alternate", record)
    params = method.fit(features, ids, BITS, KEY, anchors=40)
    gamma = float(params["scale"])
    phi = rbf_kernel(features.astype(np.float64), np.asarray(params["anchors"]), gamma=gamma)
    phi = np.column_stack([phi, np.ones(len(phi))])
    expected = Ridge(alpha=1e-2, fit_intercept=False).fit(phi, np.asarray(seen[0][0])).predict(phi)
    np.testing.assert_allclose(method.encode(params, features), expected, atol=2e-3)


def test_sdh_can_start_from_class_codes_that_are_far_apart(data):
    features, ids = data
    params = sdh.fit(features, ids, BITS, KEY, start="far_apart")
    assert mean_average_precision(sdh, params, data) > 0.8
    with pytest.raises(InputError, match=r"^bits: 1 given; allowed: 2 and more"):
        sdh.fit(features, ids, 1, KEY, start="far_apart")


def smooth(k, residual, weights):
    """The objective that KSH's refinement raises."""
    p = 2 * scipy.special.expit(k @ weights) - 1
    return p @ residual @ p


def test_bits_of_ksh_are_no_worse_than_the_relaxed_ones(labels):
    ids, _, similar = labels
    k = np.random.default_rng(4).normal(size=(30, 5))
    weights = ksh.fit_bits(k, ids, BITS)
    residual = BITS * np.where(similar, 1.0, -1.0)
    gram = k.T @ k + 1e-6 * np.trace(k.T @ k) / 5 * np.eye(5)
    better = 0
    for column in weights.T:
        relaxed = scipy.linalg.eigh(k.T @ residual @ k, gram)[1][:, -1]
        relaxed *= np.sqrt(30 / (relaxed @ k.T @ k @ relaxed))
        bit, first = (np.where(k @ weight > 0, 1.0, -1.0) for weight in (column, relaxed))
        # The sign of a bit is the solver's choice.
        assert bit @ residual @ bit >= first @ residual @ first - 1e-9
        same = np.abs(column @ relaxed) / np.linalg.norm(column) / np.linalg.norm(relaxed)
        if same < 1 - 1e-6:
            better += 1
            assert bit @ residual @ bit > first @ residual @ first
            assert smooth(k, residual, column) > smooth(k, residual, relaxed)
        residual -= np.outer(bit, bit)
    assert better


def test_a_bit_of_ksh_is_refined_to_a_maximum(labels):
    ids, _, similar = labels
    k = np.random.default_rng(4).normal(size=(30, 5))
    rows, groups = label_groups.group_by_label(ids, 3)
    residual = BITS * np.where(similar, 1.0, -1.0)
    start = scipy.linalg.eigh(k.T @ residual @ k, k.T @ k)[1][:, -1]
    start *= np.sqrt(30 / (start @ k.T @ k @ start))
    target = BITS * np.where(rows @ rows.T > 0, 1.0, -1.0)
    found = ksh._refined(k, target, groups, np.zeros((30, BITS)), start)
    best = -scipy.optimize.minimize(lambda weights: -smooth(k, residual, weights), found).fun
    assert smooth(k, residual, start) < 0.5 * best
    assert 0.97 * best < smooth(k, residual, found) <= best


@pytest.mark.parametrize(
    ("method", "draws_of", "penalty"), [(cosdish, 10, 1.0), (lfh, 50, 100 / 12)]
)
def test_the_whole_fit_is_draws_and_a_ridge_regression(method, draws_of, penalty, data):
    features, ids = data
    rows, x = np.eye(4, dtype=np.float32)[ids], StandardScaler().fit_transform(features)
    if method is cosdish:
        values, more = jax.random.rademacher(KEY, (100, BITS), np.float32), []
    else:
        values, more = lfh._start(np.float32(x), BITS, KEY), [30 / BITS]
    for draw in range(draws_of):
        values = method.improve(values, rows, draws.places(KEY, BITS, 100, draw), *more)
    expected = Ridge(penalty, fit_intercept=False).fit(x, values).predict(x)
    found = method.encode(method.fit(features, ids, BITS, KEY), features)
    # Rounding grows in 50 draws.
    np.testing.assert_allclose(found, expected, atol=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("method", [bre, bre_supervised], ids=["bre", "bre_supervised"])
def test_the_targets_of_bre(method, data, monkeypatch):
    """Half the squared distances of directions by their maximum, or 0 and 1 of labels."""
    features, ids = data
    given = []

    def fit_layer(drawn, target, bits, key):
        given.extend([drawn, target])

    monkeypatch.setattr(reconstructive_embedding, "fit_layer", fit_layer)
    method.fit(features, ids, BITS, KEY)
    drawn, target = given
    x = np.float64(features) - np.float64(features).mean(0)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True))[drawn.indices]
    pairs = list(zip(drawn.pairs.first, drawn.pairs.second, strict=True))
    if method is bre:
        largest = max(np.sum((one - other) ** 2) / 2 for one in x for other in x)
        expected = [np.sum((x[i] - x[j]) ** 2) / 2 / largest for i, j in pairs]
    else:
        labels = ids[drawn.indices]
        expected = [float(labels[i] != labels[j]) for i, j in pairs]
    np.testing.assert_allclose(target, expected, atol=1e-6)
    assert 0 < np.mean(target) < 1


def ascend(bits, quadratic, linear):
    """Flips one bit after another while one raises b'Qb + p'b."""
    bits = bits.copy()
    while True:
        before = bits.copy()
        for i in range(len(bits)):
            pull = 2 * sum(quadratic[i, j] * bits[j] for j in range(len(bits)) if j != i)
            if bits[i] * (pull + linear[i]) < 0:
                bits[i] = -bits[i]
        if (bits == before).all():
            return bits


def test_a_draw_of_cosdish_is_that_of_loops(labels):
    _, rows, similar = labels
    rng = np.random.default_rng(5)
    codes = rng.choice([-1.0, 1.0], (30, BITS))
    sampled = rng.permutation(30)[:BITS]
    others = np.setdiff1d(np.arange(30), sampled)
    s = similar[:, sampled].astype(float)
    s[s == 0] = -s.sum() / (s.size - s.sum())
    assert s.sum() == pytest.approx(0)
    found = cosdish.improve(codes.astype(np.float32), rows.astype(np.float32), sampled)
    for _ in range(3):
        before, new = codes.copy(), codes.copy()
        inner, outer = BITS * s[sampled], BITS * s[others]
        for k in range(BITS):
            new[sampled, k] = ascend(before[sampled, k], inner, outer.T @ before[others, k])
            inner = inner - np.outer(new[sampled, k], new[sampled, k])
            outer = outer - np.outer(before[others, k], new[sampled, k])
        pull = s[others] @ new[sampled]
        new[others] = np.where(np.abs(pull) < 1e-5, before[others], np.sign(pull))
        codes = new
    np.testing.assert_array_equal(found, codes)


def test_a_draw_of_lfh_is_that_of_loops_and_raises_the_terms_with_the_sample(labels):
    _, rows, similar = labels
    rng = np.random.default_rng(6)
    u, variance = rng.normal(size=(30, BITS)), 2.0
    sampled = rng.permutation(30)[:BITS]
    others = np.setdiff1d(np.arange(30), sampled)
    found = lfh.improve(u.astype(np.float32), rows.astype(np.float32), sampled, variance)
    expected = u.copy()
    curvature = -u[sampled].T @ u[sampled] / 8 - np.eye(BITS) / variance
    for i in others:
        gradient = -u[i] / variance
        for j in sampled:
            gradient += (similar[i, j] - scipy.special.expit(u[i] @ u[j] / 2)) * u[j]
        expected[i] = u[i] - np.linalg.inv(curvature) @ gradient
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    def terms(u):
        """Each pair in both orders."""
        theta = u[others] @ u[sampled].T / 2
        likelihood = similar[np.ix_(others, sampled)] * theta - np.logaddexp(0, theta)
        return 2 * likelihood.sum() - np.square(u[others]).sum() / (2 * variance)

    values = [terms(u)]
    for _ in range(3):
        u = np.asarray(
            lfh.improve(u.astype(np.float32), rows.astype(np.float32), sampled, variance)
        )
        values.append(terms(u.astype(np.float64)))
    assert values == sorted(values)
