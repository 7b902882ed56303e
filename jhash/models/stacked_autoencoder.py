"""The stacked autoencoder of DSTGeH: rows of a graph's adjacency matrix to codes and back.

Shapes in names: N nodes, B nodes of a batch, L bits.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jhash.solvers import factored_graph, pca, rotation

Params = list[dict[str, jax.Array]]
# Of all inputs' variance: keeps the decoder's equations solvable where codes are dependent.
_RIDGE = 1e-3
# Of the largest eigenvalue: what counts as none in float32.
_RANK = 1e-6


def init(key: jax.Array, widths: Sequence[int], slope: float) -> Params:
    """Parameters of the layers, encoder and decoder, from widths N, ..., bits.

    Normal, with deviation 1 / (slope sqrt(inputs)): activations keep their size from layer to layer
    in spite of the slope. The paper is silent.
    """
    params = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        there, back = jax.random.split(jax.random.fold_in(key, number))
        params.append(
            {
                "kernel": jax.random.normal(there, (inputs, outputs)) / (slope * inputs**0.5),
                "bias": jnp.zeros(outputs),
                "kernel_back": jax.random.normal(back, (outputs, inputs)) / (slope * outputs**0.5),
                "bias_back": jnp.zeros(inputs),
            }
        )
    return params


def encode(params: Params, rows_BxN: jax.Array, slope: float) -> list[jax.Array]:
    """The rows, then every layer's output; the last are the codes h [B, L] (eq. 2)."""
    outputs = [rows_BxN]
    for layer in params:
        outputs.append(jnp.tanh(slope * (outputs[-1] @ layer["kernel"] + layer["bias"])))
    return outputs


def decode(params: Params, h_BxL: jax.Array, slope: float) -> list[jax.Array]:
    """The reconstructions of `encode`'s outputs in their order, from the rows to h itself."""
    outputs = [h_BxL]
    for layer in reversed(params):
        outputs.append(jnp.tanh(slope * (outputs[-1] @ layer["kernel_back"] + layer["bias_back"])))
    return outputs[::-1]


@jax.default_matmul_precision("highest")
def first_layer(
    graph: factored_graph.Graph, width: int, key: jax.Array, slope: float, gain: float
) -> dict[str, jax.Array]:
    """A first layer on rows of the graph: their principal components in a random rotation.

    From the graph's factors, without its rows. See `later_layer`.

    Args:
      graph: N nodes, factors of r columns.
      width: Of the layer.
      key: PRNG key of the rotation, which makes all units alike in variance.
      slope: Of the tanh.
      gain: Deviation of the units before it, slope included.

    Returns:
      Parameters of the layer.
    """
    # Nothing here but the factors has N x r numbers.
    gram, mean = graph.right.T @ graph.right, graph.left.mean(0)
    values, vectors = jnp.linalg.eigh(gram)
    kept = values > _RANK * values[-1]
    roots = jnp.sqrt(jnp.where(kept, values, 1))
    # The columns of Q = right @ basis are an orthonormal basis of those of `right`, and
    # left right' = left narrow Q'.
    basis, narrow = jnp.where(kept, vectors / roots, 0), jnp.where(kept, vectors * roots, 0)
    spread = graph.left.T @ graph.left - len(graph.left) * jnp.outer(mean, mean)
    components = jnp.linalg.eigh(narrow.T @ spread @ narrow)[1][:, ::-1][:, :width]
    inner = basis @ components @ _rotation(key, components.shape[1], width)
    kernel, bias = graph.right @ inner, -mean @ gram @ inner
    linear_NxW = graph.left @ (gram @ inner) + bias
    factor = gain / (slope * linear_NxW.std())
    h_NxW = _with_ones(jnp.tanh(slope * factor * linear_NxW))
    # Rows are small: their atanh is nearly themselves.
    back = _least_squares(h_NxW, (h_NxW.T @ graph.left) @ graph.right.T / slope)
    return _layer(kernel * factor, bias * factor, back)


@jax.default_matmul_precision("highest")
def later_layer(
    x_NxW: jax.Array, outputs: int, key: jax.Array, slope: float, gain: float, codes: bool
) -> dict[str, jax.Array]:
    """A later layer: principal components of its inputs, rotated at random or, for codes, by ITQ.

    So the stack starts as a linear autoencoder in its minimum. Reconstruction leaves the codes'
    rotation open (an autoencoder gives the same back from any), but their signs depend on it. The
    paper says neither how the weights start nor how the signs come to keep what the codes do.

    Args:
      x_NxW: The layer's inputs for all nodes, in (-1, 1).
      outputs: Width of the layer; of codes at most W and N.
      key: PRNG key of the (first) rotation.
      slope: Of the tanh.
      gain: Deviation of the units before it, slope included; if large, outputs are nearly binary.
      codes: Whether this is the last layer.

    Returns:
      Parameters of the layer; the way back is the least-squares one.

    Raises:
      InputError: More bits than inputs or nodes.
    """
    count = outputs if codes else min(outputs, *x_NxW.shape)
    mean, components = pca.components(x_NxW, count)
    centered = (x_NxW - mean) @ components
    if codes:
        turned = rotation.rotate(centered, key)[0]
    else:
        turned = _rotation(key, count, outputs)
    factor = gain / (slope * centered.std())
    kernel = factor * components @ turned
    h_NxL = _with_ones(jnp.tanh(slope * factor * centered @ turned))
    wanted = jnp.arctanh(jnp.clip(x_NxW, -0.99, 0.99)) / slope
    return _layer(kernel, -mean @ kernel, _least_squares(h_NxL, h_NxL.T @ wanted))


def _rotation(key, inputs, outputs):
    """A random matrix whose rows, or columns if they are fewer, are orthonormal."""
    most, least = max(inputs, outputs), min(inputs, outputs)
    found = jnp.linalg.qr(jax.random.normal(key, (most, least)))[0]
    return found if inputs >= outputs else found.T


def _with_ones(x):
    return jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1)


def _least_squares(inputs, products):
    """The way back, its bias the last row, from inputs and their products with what is wanted."""
    ridge = _RIDGE * len(inputs) * jnp.eye(inputs.shape[1])
    return jnp.linalg.solve(inputs.T @ inputs + ridge, products)


def _layer(kernel, bias, back):
    return {"kernel": kernel, "bias": bias, "kernel_back": back[:-1], "bias_back": back[-1]}
