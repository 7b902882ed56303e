"""Discrete coordinate descent against loops over bits, ridge regression against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from jhash.errors import InputError
from jhash.solvers import dcc

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(6, 3))
    codes = np.where(rng.normal(size=(20, 6)) > 0, 1.0, -1.0)
    return codes, rng.normal(size=(20, 6)), w @ w.T


def objective(codes, linear, gram):
    return np.trace(codes @ gram @ codes.T) - 2 * np.trace(codes @ linear.T)


def sweep(codes, linear, gram):
    """Each bit of each sample takes the value with the lower objective, in turn."""
    codes = codes.copy()
    for k in range(codes.shape[1]):
        for i in range(len(codes)):
            values = []
            for bit in (-1, 1):
                codes[i, k] = bit
                values.append(codes[i] @ gram @ codes[i] - 2 * codes[i] @ linear[i])
            codes[i, k] = (-1, 1)[int(np.argmin(values))]
    return codes


def test_a_sweep_gives_each_bit_its_best_value(problem):
    codes, linear, gram = problem
    expected = sweep(codes, linear, gram)
    found = dcc.coordinate_descent(codes, linear, gram, sweeps=1)
    np.testing.assert_array_equal(found, expected)
    found = dcc.coordinate_descent(codes, linear, gram, sweeps=2)
    np.testing.assert_array_equal(found, sweep(expected, linear, gram))


def test_sweeps_never_raise_the_objective_and_end(problem):
    codes, linear, gram = problem
    values = [objective(codes, linear, gram)]
    for sweeps in (1, 2, 3, 100):
        found = np.asarray(dcc.coordinate_descent(codes, linear, gram, sweeps=sweeps), np.float64)
        values.append(objective(found, linear, gram))
    assert values == sorted(values, reverse=True)
    assert values[1] < values[0]
    np.testing.assert_array_equal(dcc.coordinate_descent(found, linear, gram, sweeps=1), found)


def test_a_bit_that_does_not_matter_stays():
    codes = np.array([[1.0, -1.0], [-1.0, 1.0]])
    found = dcc.coordinate_descent(codes, np.zeros((2, 2)), np.eye(2), sweeps=5)
    np.testing.assert_array_equal(found, codes)


def test_ridge_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 5)).astype(np.float32), rng.normal(size=(40, 2))
    expected = Ridge(alpha=0.3, fit_intercept=False).fit(x, y).coef_.T
    np.testing.assert_allclose(dcc.ridge(x, y, 0.3), expected, rtol=1e-5, atol=1e-7)


def test_what_no_ridge_solves_is_refused():
    with pytest.raises(InputError, match=r"^l2: 0\.0 given; allowed: numbers above 0\."):
        dcc.ridge(np.eye(2), np.eye(2), 0.0)
    with pytest.raises(InputError, match=r"^x_NxD: NaN or infinity given"):
        dcc.ridge(np.full((2, 2), np.nan), np.eye(2), 1.0)
