"""FDAH's closed forms against float64 NumPy that builds the n x m matrices."""

import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.data import Arrays, Data
from jhash.errors import InputError
from jhash.methods.deep import fdah
from jhash.solvers import asymmetric, class_codes, label_groups

G1, G2, G3 = 1e-3, 10.0, 1.0
N, M, C, L = 60, 17, 4, 6


def random_labels(rng, n, multi_label):
    if not multi_label:
        return rng.permutation(np.arange(n) % C).astype(np.int32)
    labels = (rng.random((n, C)) < 0.35).astype(np.uint8)
    labels[labels.sum(1) == 0, 0] = 1
    return labels


def one_hot(labels):
    return (np.eye(C)[labels] if labels.ndim == 1 else labels).astype(np.float64)


@pytest.fixture(params=["single-label", "multi-label"])
def problem(request):
    rng = np.random.default_rng(1)
    labels = random_labels(rng, N, request.param == "multi-label")
    drawn = rng.choice(N, M, replace=False)
    return types.SimpleNamespace(
        labels=labels,
        query_labels=labels[drawn],
        u=np.tanh(rng.normal(size=(M, L))),
        b=np.sign(rng.normal(size=(N, L))),
        w=rng.normal(size=(C, L)),
        rng=rng,
    )


def matrices(p):
    """Y, A, S~ and A~ as the paper has them, built in full."""
    y, yq = one_hot(p.labels), one_hot(p.query_labels)
    a = (y @ yq.T > 0).astype(np.float64)
    return y, a, L * (2 * a - 1), a / a.sum(0)


def objective(p, w, b, u):
    """Eq. 4, with l for the factor of S."""
    y, _, s, a = matrices(p)
    similarity = G1 * np.sum((y @ w @ u.T - s) ** 2)
    distances = ((b[:, None] - u[None]) ** 2).sum(-1)
    return similarity + G2 * np.sum(a * distances) + G3 * np.sum((b - y @ w) ** 2)


def test_regression_equals_the_formula(problem):
    p = problem
    y, _, s, _ = matrices(p)
    left = np.linalg.inv(y.T @ y) @ (G1 * y.T @ s @ p.u + G3 * y.T @ p.b)
    expected = left @ np.linalg.inv(G1 * p.u.T @ p.u + G3 * np.eye(L))
    found = asymmetric.solve_regression(p.labels, p.b, p.u, p.query_labels, G1, G3)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_no_perturbation_of_w_lowers_the_objective(problem):
    p = problem
    w = np.asarray(
        asymmetric.solve_regression(p.labels, p.b, p.u, p.query_labels, G1, G3), np.float64
    )
    best = objective(p, w, p.b, p.u)
    for size in (1e-1, 1e-2, 3e-3):
        for _ in range(50):
            assert objective(p, w + size * p.rng.normal(size=w.shape), p.b, p.u) > best


def test_codes_equal_the_formula(problem):
    p = problem
    y, _, _, a = matrices(p)
    expected = np.where(G2 * a @ p.u + G3 * y @ p.w >= 0, 1, -1)
    found = asymmetric.solve_codes(p.labels, p.w, p.u, p.query_labels, G2, G3)
    assert found.dtype == jnp.int8
    np.testing.assert_array_equal(found, expected)


def test_no_flipped_bit_lowers_the_objective(problem):
    p = problem
    b = np.asarray(asymmetric.solve_codes(p.labels, p.w, p.u, p.query_labels, G2, G3), np.float64)
    best = objective(p, p.w, b, p.u)
    for i in range(N):
        for j in range(L):
            b[i, j] *= -1
            assert objective(p, p.w, b, p.u) >= best
            b[i, j] *= -1


def test_labels_in_any_memory_order(problem):
    """`labels[:, columns]`, the usual choice of classes, is in Fortran's order."""
    p = problem
    arguments = (p.w, p.u, p.query_labels, G2, G3)
    np.testing.assert_array_equal(
        asymmetric.solve_codes(np.asfortranarray(p.labels), *arguments),
        asymmetric.solve_codes(p.labels, *arguments),
    )


def test_sign_of_zero_is_plus():
    labels = np.array([0, 1], np.int32)
    codes = asymmetric.solve_codes(labels, np.zeros((2, 3)), np.zeros((2, 3)), labels, G2, G3)
    np.testing.assert_array_equal(codes, 1)


def test_blocks_do_not_change_the_result(problem, monkeypatch):
    p = problem
    arguments = (p.labels, p.w, p.u, p.query_labels, G2, G3)
    whole = asymmetric.solve_codes(*arguments)
    jax.clear_caches()
    monkeypatch.setattr(asymmetric, "_BLOCK_PAIRS", 3 * M)
    np.testing.assert_array_equal(asymmetric.solve_codes(*arguments), whole)
    jax.clear_caches()


def test_absent_class_and_dependent_labels_stay_finite():
    labels = np.array([0, 0, 2, 2], np.int32)  # No image of class 1.
    u, b = np.full((2, L), 0.5), np.ones((4, L))
    w = asymmetric.solve_regression(labels, b, u, labels[[0, 2]], G1, G3)
    chex.assert_tree_all_finite(w)
    np.testing.assert_allclose(w[1], 0, atol=1e-6)
    twins = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]], np.uint8)  # Equal columns.
    w = asymmetric.solve_regression(twins, b, u, twins[[0, 2]], G1, G3)
    chex.assert_tree_all_finite(w)
    # Y W is what the two columns merged into one would give.
    merged = asymmetric.solve_regression(twins[:, 1:], b, u, twins[[0, 2], 1:], G1, G3)
    np.testing.assert_allclose(twins @ w, twins[:, 1:] @ merged, rtol=1e-3)


def batch_config():
    return types.SimpleNamespace(method=types.SimpleNamespace(gamma1=G1, gamma2=G2, gamma3=G3))


def test_gradient_of_the_loss_is_the_corrected_equation_6(problem):
    """The paper's eq. 6 has a factor 2 too many inside its bracket."""
    p = problem
    y, _, s, a = matrices(p)
    b = np.asarray(asymmetric.solve_codes(p.labels, p.w, p.u, p.query_labels, G2, G3), np.float64)
    z = np.arctanh(p.u)
    predicted = y @ p.w
    bracket = 2 * G1 * (p.u @ predicted.T @ predicted - s.T @ predicted)
    bracket += 2 * G2 * (p.u - a.T @ b)
    expected = bracket * (1 - p.u**2) / (N * M * L)
    groups, index = label_groups.group_by_label(p.labels, C)
    codes = np.zeros((len(groups), L))
    codes[index] = b
    extra = {
        "w": p.w,
        "group_labels": groups,
        "group_counts": np.bincount(index, minlength=len(groups)).astype(np.float64),
        "group_codes": codes,
    }
    with jax.enable_x64(True):
        extra = jax.tree.map(jnp.asarray, extra)
        batch = {"labels": jnp.asarray(p.query_labels)}
        found = jax.grad(lambda z: fdah.loss(z, batch, extra, batch_config())[0])(z)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("classes", "bits", "least"),
    # With every bit balanced, the mean distance of ten codes is 5/9 of the bits: 6.7, 13.3, 26.7.
    [(10, 12, 5), (10, 24, 12), (10, 48, 25), (21, 12, 4), (4, 2, 1)],
)
def test_initial_class_codes_are_far_apart_and_balanced(classes, bits, least):
    for seed in range(3):
        codes = class_codes.initial_class_codes(jax.random.key(seed), classes, bits)
        np.testing.assert_array_equal(np.abs(codes), 1)
        np.testing.assert_array_equal(np.abs(np.sum(codes, axis=0)), classes % 2)
        distinct, distance = class_codes.code_separation(codes)
        assert int(distinct) == classes
        assert float(distance) >= least


def test_code_separation_counts_collisions():
    codes = jnp.array([[1, 1, 1], [1, -1, 1], [1, 1, 1], [-1, -1, -1]], jnp.float32)
    distinct, least = class_codes.code_separation(codes)
    assert (int(distinct), float(least)) == (3, 0)
    assert [float(x) for x in class_codes.code_separation(codes[:1])] == [1, 3]


def small_data(labels):
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    everything = np.arange(N)
    train, queries = everything[:50], everything[50:]
    return Data(Arrays(images, labels), train, train, queries)


def config(queries=20, passes=3):
    method = types.SimpleNamespace(queries=queries, passes=passes, gamma1=G1, gamma2=G2, gamma3=G3)
    return types.SimpleNamespace(method=method, bits=L)


def test_an_epoch_passes_over_one_draw(problem):
    data = small_data(problem.labels)
    indices = fdah.begin_epoch(config(), data, {}, 0, jax.random.key(3))
    passes = indices.reshape(3, 20)
    assert len(np.unique(indices)) == 20
    assert np.isin(indices, data.train).all()
    np.testing.assert_array_equal(np.sort(passes, axis=1), np.sort(passes[:1].repeat(3, 0), axis=1))
    assert not np.array_equal(passes[0], passes[1])


def test_end_epoch_solves_for_w_then_b(problem):
    """On the method's groups, the public functions' answers for all images."""
    data, cfg = small_data(problem.labels), config()
    _, extra = fdah.prepare(cfg, data, jax.random.key(0))
    indices = fdah.begin_epoch(cfg, data, extra, 0, jax.random.key(3))
    outputs = problem.rng.normal(size=(N, L)).astype(np.float32)
    before = fdah.learned_codes(cfg, data, extra)
    extra, metrics = fdah.end_epoch(cfg, data, extra, indices, lambda chosen: outputs[chosen])
    labels, drawn = data.labels(data.train), np.unique(indices)
    u, query_labels = np.tanh(outputs[drawn]), data.labels(drawn)
    w = asymmetric.solve_regression(labels, before, u, query_labels, G1, G3)
    np.testing.assert_allclose(extra["w"], w, rtol=1e-4, atol=1e-5)
    after = fdah.learned_codes(cfg, data, extra)
    np.testing.assert_array_equal(
        after, asymmetric.solve_codes(labels, extra["w"], u, query_labels, G2, G3)
    )
    np.testing.assert_allclose(metrics["changed_bits"], np.mean(before != after), rtol=1e-5)
    wrong = np.where(u >= 0, 1, -1) != after[np.searchsorted(data.train, drawn)]
    np.testing.assert_allclose(metrics["bit_error_rate"], wrong.mean(), rtol=1e-5)


def test_learned_codes_exist_for_the_training_set_only(problem):
    data = small_data(problem.labels)
    _, extra = fdah.prepare(config(), data, jax.random.key(0))
    assert fdah.learned_codes(config(), data, extra).shape == (50, L)
    larger = Data(data.source, data.train[:40], data.database, data.queries)
    assert fdah.learned_codes(config(), larger, extra) is None


@pytest.mark.parametrize("queries", [0, 51])
def test_bad_draw_is_refused(problem, queries):
    with pytest.raises(InputError, match=r"config\.method\.queries.*50 training images"):
        fdah.prepare(config(queries), small_data(problem.labels), jax.random.key(0))
