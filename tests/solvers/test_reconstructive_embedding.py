"""BRE's coordinate descent against the objective as it is written, over all thresholds."""

import jax
import numpy as np
import pytest

from jhash.solvers import pca
from jhash.solvers import reconstructive_embedding as bre

BITS = 5


def features():
    return np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(7)
    drawn = bre.draw(features(), 40, jax.random.key(0))
    return drawn, rng.uniform(size=len(drawn.pairs.first))


def objective(values_LxN, target_P, pairs):
    bits = values_LxN > 0
    total = 0.0
    for i, j, target in zip(*pairs, target_P, strict=True):
        total += (np.mean(bits[:, i] != bits[:, j]) - target) ** 2 / 2
    return total


def test_pairs_are_of_different_samples_and_samples_have_length_1(problem):
    drawn, _ = problem
    assert len(drawn.pairs.first) == 40 * 2  # 5 % of 40.
    assert (drawn.pairs.first != drawn.pairs.second).all()
    assert len(np.unique(drawn.indices)) == 40
    np.testing.assert_allclose(bre.kernel(drawn).diagonal(), 1)


def test_the_best_change_of_a_weight_is_that_of_a_search(problem):
    drawn, target_P = problem
    rng = np.random.default_rng(1)
    for trial in range(4):
        values = rng.normal(size=(BITS, 40))
        influence = rng.normal(size=40) * (rng.uniform(size=40) > 0.2)
        bits = values > 0
        different = (bits[:, drawn.pairs.first] != bits[:, drawn.pairs.second]).mean(0)
        change = bre.best_change(values[2], influence, different - target_P, drawn.pairs, BITS)
        moves = influence != 0
        edges = np.sort(-values[2, moves] / influence[moves])
        middles = [edges[0] - 1, *(edges[1:] + edges[:-1]) / 2, edges[-1] + 1]

        def value(step, values=values, influence=influence):
            moved = values.copy()
            moved[2] += step * influence
            return objective(moved, target_P, drawn.pairs)

        assert value(change) == pytest.approx(min(map(value, middles))), trial


def test_a_weight_without_influence_stays(problem):
    drawn, target_P = problem
    assert bre.best_change(np.ones(40), np.zeros(40), target_P, drawn.pairs, BITS) == 0


def test_the_objective_is_that_of_the_weights_and_falls(problem):
    drawn, target_P = problem
    fitted = bre.embed(bre.kernel(drawn), target_P, drawn.pairs, BITS, jax.random.key(1))
    assert (np.diff(fitted.objective) <= 0).all()
    assert fitted.objective[-1] < 0.9 * fitted.objective[0]
    chosen = [bre.kernel(drawn)[:, fitted.samples[:, k]] for k in range(BITS)]
    values = np.stack([chosen[k] @ fitted.weights[:, k] for k in range(BITS)])
    expected = objective(values, target_P, drawn.pairs)
    assert fitted.objective[-1] == pytest.approx(expected, rel=1e-9)
    # The layer is the same function of features.
    layer = bre.fit_layer(drawn, target_P, BITS, jax.random.key(1))
    assert {name: leaf.shape for name, leaf in layer.items()} == {"kernel": (4, 5), "bias": (5,)}
    outputs = np.asarray(pca.apply_layer(layer, features()[drawn.indices]))
    np.testing.assert_array_equal(outputs > 0, values.T > 0)
