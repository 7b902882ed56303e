"""IMH: inductive hashing on manifolds (Shen, Shen, Shi, van den Hengel and Tang 2013).

Source: the paper's idea as read in CISiPLab/cisip-FIRe:functions/loss/imh.py, an independent
program; no code of the authors was at hand. 400 centers of groups of the samples get as many
coordinates as there are bits, by t-SNE or as eigenvectors of a Laplacian. A sample has the mean of
the coordinates of its 5 nearest centers, weighted by e^{-d^2 / w}, and its bits are their signs.

w is the mean of the squared distances d^2 from the samples to their 5 nearest centers, so that it
suits all features; in that program it is a constant, or their variance. Coordinates are cut at
their medians over the centers. (There they are cut at 0, which is their mean.) The database's codes
are those of the fitted function; sgn(0) is -1.

Shapes in names: N samples, K centers, M nearest of them, L bits.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.errors import InputError
from jhash.solvers import eigenmaps, k_means, knn_graph, thresholds, tsne

EMBEDDINGS = ("tsne", "laplacian")
FIELDS = {
    # The max is that of the samples from which `jhash.methods.fitting` takes shapes.
    "centers": config_fields.integer(2, 2048),
    "embedding": config_fields.choice(*EMBEDDINGS),
}
QUICK = {"iterations": 1}
# Number of nearest centers, and of rounds of k-means.
_NEAREST = 5
_ROUNDS = 20


def fit(
    features: jax.Array,
    labels: None,
    bits: int,
    key: jax.Array,
    *,
    centers: int = 400,
    embedding: str = "tsne",
    iterations: int = 1000,
) -> dict[str, jax.Array]:
    """Fits centers and their coordinates.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length; with "laplacian" at most the number of centers minus 2.
      key: PRNG key of the first centers, and of the start of the coordinates.
      centers: Number of centers, of which there are no more than samples.
      embedding: "tsne" or "laplacian"; the graph of the latter joins 5 nearest centers.
      iterations: Number of steps of t-SNE.

    Returns:
      {"centers": [K, z], "coordinates": [K, bits], "width": []}.

    Raises:
      InputError: There are fewer than two samples, or `eigenmaps` refuses the centers or the bits.
    """
    del labels
    v_Nxz = jnp.asarray(features, jnp.float32)
    if len(v_Nxz) < 2:
        raise InputError(f"features: {len(v_Nxz)} samples given; allowed: 2 or more.")
    center_key, embed_key = jax.random.split(key)
    groups = min(centers, len(v_Nxz))
    centers_Kxz, _ = k_means.k_means(v_Nxz, groups, center_key, iterations=_ROUNDS)
    if embedding == "tsne":
        coordinates_KxL = tsne.embed(centers_Kxz, bits, embed_key, iterations=iterations)
    else:
        graph = knn_graph.build(centers_Kxz - centers_Kxz.mean(0), min(_NEAREST, groups - 1))
        coordinates_KxL = eigenmaps.eigenmaps(graph, bits, embed_key) * np.sqrt(groups)
    return {
        "centers": centers_Kxz,
        "coordinates": jnp.asarray(thresholds.center_at_median(coordinates_KxL)),
        "width": jnp.maximum(_nearest(centers_Kxz, v_Nxz)[0].mean(), 1e-12),
    }


@jax.jit
@jax.default_matmul_precision("highest")
def encode(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes the weighted means of the nearest centers' coordinates, float32 [N, bits]."""
    squared_NxM, nearest_NxM = _nearest(params["centers"], features)
    weights_NxM = jax.nn.softmax(-squared_NxM / params["width"], axis=1)
    return jnp.einsum("nm,nml->nl", weights_NxM, params["coordinates"][nearest_NxM])


@jax.jit
@jax.default_matmul_precision("highest")
def _nearest(centers_Kxz, features_Nxz):
    """Returns the squared distances of the nearest centers, and which they are, [N, M] both."""
    # Near 0 the expansion loses fewer digits.
    mean_z = centers_Kxz.mean(0)
    centers_Kxz, x_Nxz = centers_Kxz - mean_z, features_Nxz - mean_z
    lengths_Nx1 = jnp.square(x_Nxz).sum(1, keepdims=True)
    squared_NxK = jnp.square(centers_Kxz).sum(1) - 2 * x_Nxz @ centers_Kxz.T + lengths_Nx1
    negative_NxM, nearest_NxM = jax.lax.top_k(-squared_NxK, min(_NEAREST, len(centers_Kxz)))
    return jax.nn.relu(-negative_NxM), nearest_NxM
