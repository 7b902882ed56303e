"""Support vector machines against those of scikit-learn."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jhash.solvers import linear_svm

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_each_bit_has_the_machine_of_liblinear():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype(np.float32)
    codes = np.where(x @ rng.normal(size=(5, 3)) + rng.normal(size=(80, 3)) > 0, 1, -1)
    w, c = linear_svm.fit(x, codes, cost=0.7)
    for bit in range(3):
        # Its intercept is regularized with `intercept_scaling` 1, as here.
        machine = LinearSVC(C=0.7, dual=False, tol=1e-8).fit(x, codes[:, bit])
        np.testing.assert_allclose(w[:, bit], machine.coef_[0], atol=2e-2)
        np.testing.assert_allclose(c[bit], machine.intercept_[0], atol=2e-2)


def test_alike_bits_are_fitted():
    w, c = linear_svm.fit(np.zeros((4, 2), np.float32), np.float32([[1, -1]] * 4), cost=1.0)
    np.testing.assert_allclose(w, 0, atol=1e-6)
    np.testing.assert_allclose(c, [8 / 9, -8 / 9], atol=1e-3)
