"""FDAH's closed forms against float64 NumPy that builds the n x m matrices."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.solvers import asymmetric
from tests.support import asymmetric_problem
from tests.support.asymmetric_problem import G1, G2, G3, L, M, N, matrices


@pytest.fixture(params=["single-label", "multi-label"])
def problem(request):
    return asymmetric_problem.make(request.param == "multi-label")


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


@pytest.mark.slow
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


LABELS, CODES = np.array([0, 1, 0, 1]), np.ones((4, 3))
QUERIES, QUERY_LABELS = np.full((2, 3), 0.5), np.array([0, 1])
W = np.ones((2, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": CODES * np.nan}, "codes: NaN or infinity given; allowed: finite"),
        ({"query_outputs": QUERIES * np.inf}, "query_outputs: NaN or infinity given"),
        ({"codes": CODES[:0], "labels": LABELS[:0]}, r"codes: shape \(0, 3\) given; .* 1 row or"),
        ({"query_outputs": QUERIES[:0]}, r"query_outputs: shape \(0, 3\) given"),
        ({"labels": LABELS[:3]}, "labels: 3 labels given; allowed: 4, one for each row of codes"),
        ({"query_labels": QUERY_LABELS[:1]}, "query_labels: 1 labels given; allowed: 2, one"),
        ({"codes": CODES[:, :2]}, "query_outputs: 3 bits given; allowed: 2, as in codes"),
        ({"labels": np.zeros((4, 2)), "query_labels": np.eye(2)}, "labels: rows of zeros given"),
        ({"gamma3": 0.0}, "gamma3: 0.0 given; allowed: numbers above 0"),
    ],
)
def test_a_regression_without_an_answer_is_refused(change, message):
    arguments = {
        "labels": LABELS,
        "codes": CODES,
        "query_outputs": QUERIES,
        "query_labels": QUERY_LABELS,
        "gamma1": G1,
        "gamma3": G3,
    }
    with pytest.raises(InputError, match=f"^{message}"):
        asymmetric.solve_regression(**arguments | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": W * np.nan}, "w: NaN or infinity given; allowed: finite numbers"),
        ({"query_outputs": QUERIES * np.nan}, "query_outputs: NaN or infinity given"),
        ({"query_outputs": QUERIES[:0]}, r"query_outputs: shape \(0, 3\) given"),
        ({"w": W[:, :1]}, "query_outputs: 3 bits given; allowed: 1, as in w"),
        ({"labels": LABELS + 4}, "w: 2 rows given; allowed: 6 or more, one for every class"),
        ({"query_labels": QUERY_LABELS + 1}, "w: 2 rows given; allowed: 3 or more"),
    ],
)
def test_nan_gives_no_code(change, message):
    arguments = {
        "labels": LABELS,
        "w": W,
        "query_outputs": QUERIES,
        "query_labels": QUERY_LABELS,
        "gamma2": G2,
        "gamma3": G3,
    }
    with pytest.raises(InputError, match=f"^{message}"):
        asymmetric.solve_codes(**arguments | change)
