"""STH: codes of a graph of neighbors, and a linear classifier for each bit (Zhang et al. 2010).

Source: the paper, sections 3.2 and 3.3; no public code of the authors was at hand. The samples are
joined to their 25 nearest neighbors by cosine, the eigenvectors of the graph's Laplacian with the
smallest eigenvalues, except the constant one, are cut at their medians, and a linear support vector
machine learns each bit. The codes of the database are those of the machines, too; those of the
graph serve the fit alone. sgn(0) is -1.

The mean of the samples is subtracted from the features first, since features after a ReLU all point
to one side, and they are divided by their root mean square length, so that the cost means the same
for all features. The paper has texts, whose vectors have length 1.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.solvers import eigenmaps, knn_graph, linear_svm, moments, pca, thresholds

FIELDS = {
    "neighbors": config_fields.integer(1, 10_000),
    # Cost of the slack of a sample, the C of a support vector machine.
    "cost": config_fields.positive(1e6),
}
QUICK = {"iterations": 1}

encode = pca.apply_layer


def fit(
    features: jax.Array,
    labels: None,
    bits: int,
    key: jax.Array,
    *,
    neighbors: int = 25,
    cost: float = 1.0,
    iterations: int = 200,
) -> dict[str, jax.Array]:
    """Fits codes to the graph, and machines to the codes.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length, at most N - 2.
      key: PRNG key of the eigensolver's start.
      neighbors: Number of neighbors of a sample; all others, if there are fewer.
      cost: Cost of the slack.
      iterations: Max number of iterations of the machines' solver.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer.

    Raises:
      InputError: `knn_graph.build` or `eigenmaps` refuses the features or the bits.
    """
    del labels
    v_Nxz = np.asarray(features, np.float32)
    mean_z = moments.mean(v_Nxz).astype(np.float32)
    x_Nxz = v_Nxz - mean_z
    length = np.float32(np.sqrt(np.square(x_Nxz, dtype=np.float64).sum(1).mean())) or np.float32(1)
    x_Nxz /= length
    graph = knn_graph.build(x_Nxz, max(1, min(neighbors, len(x_Nxz) - 1)))
    codes_NxL = thresholds.center_at_median(eigenmaps.eigenmaps(graph, bits, key)) > 0
    w_zxL, c_L = linear_svm.fit(x_Nxz, np.where(codes_NxL, 1, -1), cost, iterations)
    layer = pca.as_layer(jnp.asarray(mean_z), jnp.asarray(w_zxL / length))
    return {**layer, "bias": layer["bias"] + c_L}
