"""Laplacian eigenmaps of a sparse graph (Belkin and Niyogi 2003)."""

import inspect

import jax
import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from jhash.errors import InputError


def eigenmaps(weights: scipy.sparse.csr_array, count: int, key: jax.Array) -> np.ndarray:
    r"""Computes solutions y of L y = lambda D y with the smallest lambda, L = D - W, except y = 1.

    D is the diagonal matrix of the degrees, the row sums of W.

    A graph of c connected components has c independent solutions with lambda = 0, each constant on
    every component. Only y = 1 is dropped, as it tells nothing. The c - 1 others tell the
    components apart and come first. Any basis of them is a solution; a random one is used, in which
    every column divides the components about evenly, so that thresholds at the median do, too. They
    leave fewer columns for what is within the components, and none if c > count. A graph with more
    neighbors per sample has fewer components.

    A sample without edges belongs to no component. It is 0 in all columns, which is their mean
    weighted by D.

    Args:
      weights: Weights W of the edges, [N, N], symmetric and not negative, with a diagonal of zeros.
      count: Number of columns, from 1 to the number of samples with edges minus 1.
      key: PRNG key of the basis for lambda = 0 and of the eigensolver's start.

    Returns:
      Y, float64 [N, count], with Y'DY the identity. Columns are sorted by rising lambda, and a
      column's entry of largest magnitude is positive. The same key gives the same result.

    Raises:
      InputError: `count` is not allowed (the message calls it `bits`, as methods do), the graph has
        no edges, or it has so much symmetry that the eigensolver fails.
    """
    weights = weights.astype(np.float64)
    degrees = weights.sum(1)
    joined = np.flatnonzero(degrees)
    if len(joined) < 2:
        raise InputError(
            f"weights: a graph of {len(degrees)} samples without edges given; allowed: graphs with "
            "edges, of features that are neither all alike nor all opposite."
        )
    if not 1 <= count < len(joined):
        raise InputError(
            f"bits: {count} given; allowed: 1 to {len(joined) - 1}, as each bit takes an "
            f"eigenvector of a graph that joins {len(joined)} of {len(degrees)} samples."
        )
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    solutions = np.zeros((len(degrees), count))
    solutions[joined] = _eigenmaps(weights[joined][:, joined], degrees[joined], count, rng)
    largest = np.take_along_axis(solutions, np.abs(solutions).argmax(0)[None], axis=0)
    return solutions * np.where(largest < 0, -1, 1)


def _eigenmaps(weights, degrees, count, rng):
    """Computes `eigenmaps` of a graph in which every sample has an edge, up to signs."""
    components, component = scipy.sparse.csgraph.connected_components(weights, directed=False)
    volumes = np.bincount(component, degrees)
    flat = _constant_on_components(volumes, min(count, components - 1), rng)[component]
    if flat.shape[1] == count:
        return flat
    # With y = D^-1/2 u, the problem is that of the largest eigenvalues, 1 - lambda, of the
    # symmetric matrix D^-1/2 W D^-1/2.
    roots = np.sqrt(degrees)
    inverse = scipy.sparse.diags_array(1 / roots)
    normalized = inverse @ weights @ inverse
    # Lanczos's method finds one vector of a multiple eigenvalue, and others by rounding only. The
    # vectors of lambda = 0 are known: on each component one of length 1, a multiple of `roots`.
    # Their eigenvalue is moved from 1 to -2, out of the way, as all others lie in [-1, 1].
    unit = roots / np.sqrt(volumes)[component]

    def deflated(u):
        u = u.reshape(-1)
        return normalized @ u - 3 * unit * np.bincount(component, unit * u)[component]

    operator = scipy.sparse.linalg.LinearOperator(weights.shape, deflated, dtype=np.float64)
    values, vectors = _largest(operator, count - flat.shape[1], rng)
    vectors = vectors[:, np.argsort(-values, kind="stable")]
    return np.concatenate([flat, vectors / roots[:, None]], axis=1)


def _largest(operator, count, rng):
    """Computes the largest eigenvalues of a symmetric operator and their vectors."""
    size = operator.shape[0]
    start = rng.standard_normal(size)
    fewest = max(2 * count + 1, 20)
    # Where many eigenvalues are alike, all directions of Lanczos's method may converge, by
    # rounding, before they contain the wanted ones, which ARPACK reports as an error. Twice as many
    # directions were enough in 240 graphs of copies.
    for directions in (fewest, 2 * fewest, 4 * fewest):
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
        f"weights: a graph given of which {count} eigenvectors were not found ({failure}); "
        "allowed: graphs of less symmetry, of features that are not for the most part copies."
    ) from failure


def _constant_on_components(volumes, count, rng):
    """Draws a basis of the solutions with lambda = 0: its values per component.

    The columns, [components, count], are D-orthonormal and D-orthogonal to 1.
    """
    # With D^1/2 y in place of y, orthogonal to the square roots of the components' volumes.
    columns = [np.sqrt(volumes), *rng.standard_normal((count, len(volumes)))]
    basis = np.linalg.qr(np.stack(columns, axis=1))[0][:, 1:]
    return basis / np.sqrt(volumes)[:, None]


def _restarts_from(rng):
    """Returns the argument that makes restarts of the eigensolver reproducible, if SciPy has it."""
    # In graphs of much symmetry Lanczos's method runs out of directions. SciPy >= 1.17 then draws
    # new ones from the generator that it is given; older versions take none.
    known = "rng" in inspect.signature(scipy.sparse.linalg.eigsh).parameters
    return {"rng": rng} if known else {}
