import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.retrieval.search import selection


def smallest(values, k, largest):
    function = jax.jit(selection.smallest, static_argnums=(1, 2))
    return np.asarray(function(values, k, largest, True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "lanes", "queries", "k", "largest", "dtype"),
    [
        (32, 1, 3, 1, 65, np.uint8),
        (32, 1, 1, 32, 65, np.uint8),  # All of them.
        (64, 2, 2, 40, 255, np.uint8),  # As large as the type allows.
        (96, 1, 5, 33, 513, np.uint16),
        (512, 1, 4, 8, 65, np.uint8),  # The threshold comes from minima of slices.
        (2048, 4, 17, 500, 257, np.uint16),  # Prefix sums take steps.
        (32, 64, 1, 100, 33, np.uint8),
    ],
)
def test_smallest(rows, lanes, queries, k, largest, dtype):
    rng = np.random.default_rng(rows)
    shape = rows, lanes, queries
    cases = [
        rng.integers(0, largest + 1, shape),
        rng.integers(largest // 2, largest // 2 + 2, shape),  # Ties everywhere.
        rng.binomial(largest, 0.5, shape),
        np.zeros(shape),
        np.full(shape, largest),
        np.where(rng.random(shape) < k / (rows * lanes), 1, largest),
    ]
    for values in cases:
        values = values.astype(dtype)
        found = smallest(values, k, largest)
        assert found.dtype == np.int32
        assert found.shape == (-(-(k + 31) // 32) * 32, queries)
        for query in range(queries):
            by_position = values[:, :, query].T.reshape(-1)
            expected = np.argsort(by_position, kind="stable")[:k]
            count = np.sum(found[:, query] >= 0)
            chosen = found[:count, query]
            assert (found[count:, query] == -1).all()
            assert (np.diff(chosen) > 0).all()
            assert set(expected) <= set(chosen.tolist())
            extra = sorted(set(chosen.tolist()) - set(expected.tolist()))
            assert len(extra) <= 31
            assert (by_position[extra] == by_position[expected[-1]]).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 3), (7, 64, 2), (1030, 3, 5)])
def test_add_up(shape):
    counts = np.random.default_rng(0).integers(0, 33, shape).astype(np.uint8)
    for case in (counts, np.full(shape, 32, np.uint8)):
        total = jax.jit(selection.add_up)(case)
        assert total.dtype == np.int32
        np.testing.assert_array_equal(total, case.sum(axis=(0, 1), dtype=int))


def test_materialize_returns_what_the_function_does():
    def function(a, b):
        return a + b, {"product": a * b}

    a, b = jnp.arange(3), jnp.arange(3, 6)
    total, rest = jax.jit(lambda *args: selection.materialize(*args[:1], function, *args[1:]))(
        True, a, b
    )
    np.testing.assert_array_equal(total, [3, 5, 7])
    np.testing.assert_array_equal(rest["product"], [0, 4, 10])
