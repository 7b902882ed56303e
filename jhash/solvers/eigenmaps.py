"""Laplacian eigenmaps of a sparse graph (Belkin and Niyogi 2003)."""

import inspect

import jax
import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from jhash.errors import InputError


def eigenmaps(weights: scipy.sparse.csr_array, count: int, key: jax.Array) -> np.ndarray:
    r"""Solutions y of L y = lambda D y with the smallest lambda, L = D - W, without y = 1.

    A graph in c parts has c solutions of lambda 0, constant on each part. Only y = 1, which says
    nothing, is dropped: the others tell the parts apart and come first. Any basis will do there,
    and a random one divides the parts about evenly in every column, so that thresholds do, too.
    They leave fewer columns for what is within the parts, and none from c > count on; more
    neighbours join parts.

    A sample without edges is in no part, and 0 in all columns, which is the mean weighted by D.

    Args:
      weights: W, [N, N], symmetric and not negative, with a diagonal of zeros.
      count: Columns, less than the samples with edges.
      key: PRNG key of the basis for lambda 0 and of the eigensolver's start.

    Returns:
      float64 [N, count], Y'DY = 1, by rising lambda, each column with a positive entry of largest
      magnitude. The same for the same key.

    Raises:
      InputError: A count that is not allowed, or a graph of so much symmetry that the eigensolver
        fails.
    """
    weights = weights.astype(np.float64)
    degrees = weights.sum(1)
    joined = np.flatnonzero(degrees)
    if not 1 <= count < len(joined):
        raise InputError(
            f"bits: {count} given; allowed: 1 to {len(joined) - 1}, as each bit takes an "
            f"eigenvector of a graph that joins {len(joined)} of {len(degrees)} samples."
        )
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    found = np.zeros((len(degrees), count))
    found[joined] = _eigenmaps(weights[joined][:, joined], degrees[joined], count, rng)
    largest = np.take_along_axis(found, np.abs(found).argmax(0)[None], axis=0)
    return found * np.where(largest < 0, -1, 1)


def _eigenmaps(weights, degrees, count, rng):
    parts, part = scipy.sparse.csgraph.connected_components(weights, directed=False)
    volumes = np.bincount(part, degrees)
    flat = _constant_on_parts(volumes, min(count, parts - 1), rng)[part]
    if flat.shape[1] == count:
        return flat
    # With y = D^-1/2 u: the largest eigenvalues, 1 - lambda, of D^-1/2 W D^-1/2.
    roots = np.sqrt(degrees)
    inverse = scipy.sparse.diags_array(1 / roots)
    normalised = inverse @ weights @ inverse
    # Lanczos's method finds one vector of an eigenvalue, and others only by rounding. Those of
    # lambda 0 are known: they are moved from 1 to -2, out of the way, as all lie in [-1, 1].
    unit = roots / np.sqrt(volumes)[part]

    def deflated(u):
        u = u.reshape(-1)
        return normalised @ u - 3 * unit * np.bincount(part, unit * u)[part]

    operator = scipy.sparse.linalg.LinearOperator(weights.shape, deflated, dtype=np.float64)
    values, vectors = _largest(operator, count - flat.shape[1], rng)
    vectors = vectors[:, np.argsort(-values, kind="stable")]
    return np.concatenate([flat, vectors / roots[:, None]], axis=1)


def _largest(operator, count, rng):
    """The largest eigenvalues of a symmetric operator and their vectors."""
    size = operator.shape[0]
    start = rng.standard_normal(size)
    least = max(2 * count + 1, 20)
    # Where many eigenvalues are alike it may, by rounding, find all of its directions converged
    # before they hold the wanted ones. Twice as many were enough in 240 graphs of copies.
    for directions in (least, 2 * least, 4 * least):
        try:
            return scipy.sparse.linalg.eigsh(
                operator,
                count,
                which="LA",
                v0=start,
                ncv=min(size, directions),
                **_restarts_from(rng),
            )
        except scipy.sparse.linalg.ArpackError as error:
            failure = error
    raise InputError(
        f"features: {count} eigenvectors of their graph were not found ({failure}). So it is when "
        "most features are copies of a few."
    ) from failure


def _constant_on_parts(volumes, count, rng):
    """A random basis' values on each part, D-orthonormal and D-orthogonal to 1."""
    columns = [np.sqrt(volumes), *rng.standard_normal((count, len(volumes)))]
    basis = np.linalg.qr(np.stack(columns, axis=1))[0][:, 1:]
    return basis / np.sqrt(volumes)[:, None]


def _restarts_from(rng):
    # Where Lanczos's method runs out of directions, in graphs of much symmetry, SciPy >= 1.17 draws
    # new ones from a generator of its own unless it gets one; older versions cannot be told.
    known = "rng" in inspect.signature(scipy.sparse.linalg.eigsh).parameters
    return {"rng": rng} if known else {}
