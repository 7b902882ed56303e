"""FDAH's loss and epochs against the paper's equations in float64 and the public closed forms."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.data import ArraySource, Data
from jhash.methods.deep import fdah
from jhash.solvers import asymmetric, label_groups
from tests.support import asymmetric_problem
from tests.support.asymmetric_problem import G1, G2, G3, C, L, M, N, matrices


@pytest.fixture(params=["single-label", "multi-label"])
def problem(request):
    return asymmetric_problem.make(request.param == "multi-label")


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
    state = {
        "w": p.w,
        "group_labels": groups,
        "group_counts": np.bincount(index, minlength=len(groups)).astype(np.float64),
        "group_codes": codes,
    }
    with jax.enable_x64(True):
        state = jax.tree.map(jnp.asarray, state)
        batch = {"labels": jnp.asarray(p.query_labels)}
        found = jax.grad(lambda z: fdah.loss(z, batch, state, batch_config())[0])(z)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def small_data(labels):
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    everything = np.arange(N)
    train, queries = everything[:50], everything[50:]
    return Data(ArraySource(images, labels), train, train, queries)


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


@pytest.mark.slow
def test_end_epoch_solves_for_w_then_b(problem):
    """On the method's groups, the public functions' answers for all images."""
    data, cfg = small_data(problem.labels), config()
    _, state = fdah.prepare(cfg, data, jax.random.key(0))
    indices = fdah.begin_epoch(cfg, data, state, 0, jax.random.key(3))
    outputs = problem.rng.normal(size=(N, L)).astype(np.float32)
    before = fdah.learned_codes(cfg, data, state)
    state, metrics = fdah.end_epoch(cfg, data, state, indices, lambda chosen: outputs[chosen])
    labels, drawn = data.labels(data.train), np.unique(indices)
    u, query_labels = np.tanh(outputs[drawn]), data.labels(drawn)
    w = asymmetric.solve_regression(labels, before, u, query_labels, G1, G3)
    np.testing.assert_allclose(state["w"], w, rtol=1e-4, atol=1e-5)
    after = fdah.learned_codes(cfg, data, state)
    np.testing.assert_array_equal(
        after, asymmetric.solve_codes(labels, state["w"], u, query_labels, G2, G3)
    )
    np.testing.assert_allclose(metrics["changed_bits"], np.mean(before != after), rtol=1e-5)
    wrong = np.where(u >= 0, 1, -1) != after[np.searchsorted(data.train, drawn)]
    np.testing.assert_allclose(metrics["bit_error_rate"], wrong.mean(), rtol=1e-5)


def test_learned_codes_exist_for_the_training_set_only(problem):
    data = small_data(problem.labels)
    _, state = fdah.prepare(config(), data, jax.random.key(0))
    assert fdah.learned_codes(config(), data, state).shape == (50, L)
    larger = Data(data.source, data.train[:40], data.database, data.queries)
    assert fdah.learned_codes(config(), larger, state) is None


def test_more_queries_than_images_are_all_images_and_this_is_said(problem, capsys):
    data = small_data(problem.labels)
    fdah.prepare(config(50), data, jax.random.key(0))
    assert not capsys.readouterr().err
    fdah.prepare(config(51), data, jax.random.key(0))
    assert "draws all 50 training images, as config.method.queries is 51" in capsys.readouterr().err
    drawn = fdah.begin_epoch(config(51), data, {}, 0, jax.random.key(1))
    assert sorted(drawn[:50]) == sorted(data.train)
